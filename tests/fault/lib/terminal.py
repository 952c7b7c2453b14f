"""A terminal for tests: runs a program in a pty, keeps every byte it writes, and knows the modes the terminal is in."""
import fcntl
import os
import re
import select
import signal
import struct
import termios
import time


class Terminal:
    def __init__(self, argv, env=None, columns=80, rows=24, shell=False, before=None):
        """before: called in the child, before the program. The pty's other end stays open here, so that its modes can be looked at."""
        self.master, self.slave = os.openpty()
        self.resize(columns, rows)
        self.modes = termios.tcgetattr(self.slave)
        self.raw = b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
                for fd in range(3):
                    os.dup2(self.slave, fd)
                os.closerange(3, 64)
                if before:
                    before()
                for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # a shell that put the tests into the background has them ignored
                    signal.signal(sig, signal.SIG_DFL)
                os.execvpe(argv[0], argv, {**os.environ, **(env or {})})
            finally:
                os._exit(126)
        self.status = None

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.0):
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master], [], [], max(0.0, min(0.05, end - time.monotonic())))
            if ready:
                try:
                    self.raw += os.read(self.master, 65536)
                except OSError:
                    return
            elif time.monotonic() >= end:
                return

    def text(self):
        """what was written without control sequences: good enough to look for words"""
        s = re.sub(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-Za-z]|[=>cM78])", b"", self.raw)
        return s.decode("utf-8", "replace")

    def expect(self, pattern, seconds=30, since=0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            if re.search(pattern, self.text()[since:]):
                return True
            if self.ended():
                self.read(0.1)
                return bool(re.search(pattern, self.text()[since:]))
        return False

    def send(self, data):
        os.write(self.master, data if isinstance(data, bytes) else data.encode())

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def wait(self, seconds=20):
        """the exit code, 128+n for a signal, None when it did not end"""
        end = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < end:
            self.read(0.05)
        self.read(0.05)
        if self.status is None:
            return None
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else 128 + os.WTERMSIG(self.status)

    def restored(self):
        """what is not as it was before the program, "" when all is"""
        wrong = []
        now = termios.tcgetattr(self.slave)
        names = ["iflag", "oflag", "cflag", "lflag", "ispeed", "ospeed", "cc"]
        for i, (a, b) in enumerate(zip(self.modes, now)):
            if a != b:
                wrong.append(f"{names[i]} {a!r} -> {b!r}")
        for on, off, what in [(b"\x1b[?1049h", b"\x1b[?1049l", "alternate screen"), (b"\x1b[?2004h", b"\x1b[?2004l", "bracketed paste"),
                              (b"\x1b[?1000h", b"\x1b[?1000l", "mouse"), (b"\x1b[?1006h", b"\x1b[?1006l", "mouse coordinates"),
                              (b"\x1b[?25l", b"\x1b[?25h", "cursor"), (b"\x1b[?1h", b"\x1b[?1l", "cursor keys")]:
            if self.raw.rfind(on) > self.raw.rfind(off):
                wrong.append(f"{what} left on" if what != "cursor" else "cursor left hidden")
        return ", ".join(wrong)

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait(5)
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                pass


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def check(self, name, good, why=""):
        self.n += 1
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}")
        if not good:
            self.failed += 1
            for line in str(why).splitlines() or [""]:
                print(f"# {line}")

    def equal(self, name, got, want):
        self.check(name, got == want, f"got  {got!r}\nwant {want!r}")

    def skip(self, name, why):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {why}")

    def done(self):
        print(f"1..{self.n}")
        raise SystemExit(1 if self.failed else 0)
