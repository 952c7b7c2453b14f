#!/usr/bin/env python3
"""The interface measured from outside, through a pseudo terminal (make bench-ui).

  key      a key pressed while the model writes at full speed, until its character is on the screen
  idle     bytes written for a key when nothing runs: only changed cells are drawn
  open     a conversation of 10,000 messages, from Enter in the list to its last message on the screen
  page     PageUp in it, until the new page is drawn

Prints a line for each, exit code 1 when one is above its limit. Before that the same keys go through cat: when even that is slow, others use the
machine, and nothing is judged. PONDER names the program, MODEL the model file, KEYS how many keys.
"""
import fcntl, json, os, pty, select, signal, struct, sys, tempfile, termios, time

PONDER = os.environ.get("PONDER", "build/ponder")
MODEL = os.environ.get("MODEL") or os.path.expanduser("~/.local/share/ponder/models/SmolLM2-135M-Instruct.Q4_1.gguf")
KEYS = int(os.environ.get("KEYS", "300"))
MESSAGES = 10000
LIMITS = {"key p99 ms": 16, "idle bytes a key": 80, "open ms": 100, "page p99 ms": 16}
BUSY_MS = 3
failed = busy = False


class Terminal:
    """A program in a terminal of its own; everything it writes comes in pieces with their times."""

    def __init__(self, *args, size=(24, 80), program=PONDER):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", INPUTRC="/dev/null")
            os.execvp(program, [program, *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.seen = b""

    def read(self, timeout):
        """What came, b"" when nothing did."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return b""
        data = os.read(self.fd, 1 << 16)
        self.seen = (self.seen + data)[-(1 << 16):]
        return data

    def wait(self, text, seconds=60):
        """Until the bytes of text were written; the time when they were."""
        until = time.perf_counter() + seconds
        got = b""
        while time.perf_counter() < until:
            got = got[-256:] + self.read(0.5)
            if text.encode() in got:
                return time.perf_counter()
        sys.exit(f"not seen: {text!r}; the last bytes were {self.seen[-400:]!r}")

    def drain(self, quiet):
        """Everything until nothing came for so long: bytes and the time of the last piece."""
        count, last = 0, time.perf_counter()
        while True:
            data = self.read(quiet)
            if not data:
                return count, last
            count, last = count + len(data), time.perf_counter()

    def send(self, text):
        now = time.perf_counter()
        os.write(self.fd, text.encode())
        return now

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        while True:
            try:
                if not os.read(self.fd, 1 << 16):
                    break
            except OSError:
                break
        os.waitpid(self.pid, 0)


def report(name, value, unit, note=""):
    global failed
    limit = LIMITS.get(name)
    over = limit is not None and value > limit
    failed = failed or (over and not busy)
    print(f"{name:18} {value:9.1f} {unit:6}" + (f" limit {limit}" if limit else "") + (" TOO MUCH" if over and not busy else "") + (f"   {note}" if note else ""), flush=True)


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def the_machine_alone():
    global busy
    t = Terminal("-c", "stty raw -echo; echo ready; exec cat", program="sh")
    t.wait("ready")
    times = []
    for i in range(100):
        letter = chr(0x0410 + i % 64)
        began = t.send(letter)
        times.append((t.wait(letter) - began) * 1000)
        time.sleep(0.01)
    t.close()
    busy = percentile(times, 99) > BUSY_MS
    report("cat p99 ms", percentile(times, 99), "ms", "the machine is busy with other work: nothing is judged" if busy else "")


def keys_while_it_writes():
    t = Terminal("-m", MODEL, "--seed", "3", "--think-min", "1000000", "--budget", "unlimited", "--ctx", "8192")
    t.wait("Ask something")
    t.drain(0.3)
    for c in "xyzzy":  # warm
        t.send(c)
        t.drain(0.05)
    sizes = []
    for c in "the quick brown fox jumps over it":
        t.send(c)
        sizes.append(t.drain(0.05)[0])
    t.send("\x15Tell me a very long story.\r")
    t.wait("Thinking")
    time.sleep(0.5)
    t.drain(0.001)
    times = []
    letters = [chr(c) for c in range(0x0410, 0x0450)]  # letters this model does not write
    start, written = time.perf_counter(), 0
    for i in range(KEYS):
        if i % 40 == 0:
            t.send("\x15")
            t.drain(0.02)
        letter = letters[i % len(letters)]
        began = t.send(letter)
        times.append((t.wait(letter) - began) * 1000)
        until = time.perf_counter() + 0.03 + (i % 7) / 100  # at every phase of its drawing
        while time.perf_counter() < until:
            written += len(t.read(max(0.001, until - time.perf_counter())))
    elapsed = time.perf_counter() - start
    t.close()
    report("key p50 ms", percentile(times, 50), "ms")
    report("key p99 ms", percentile(times, 99), "ms", f"{KEYS} keys in {elapsed:.0f} s while it wrote {written / elapsed / 1000:.1f} kB/s")
    report("key worst ms", max(times), "ms")
    report("idle bytes a key", max(sizes), "bytes", f"mean {sum(sizes) / len(sizes):.0f}")


def long_conversation(folder):
    messages = [{"role": "assistant" if i % 2 else "user", "content": f"message m{i} with **some** words to wrap over the width of the window, and a list:\n\n- one\n- two"
                 if i % 2 else f"message m{i} asks for more"} for i in range(MESSAGES)]
    path = os.path.join(folder, "long.jsonl")
    with open(path, "w") as f:
        f.write(json.dumps({"messages": messages}) + "\n")
    if os.system(f"{PONDER} import {path} >/dev/null"):
        sys.exit("the import failed")
    t = Terminal("-m", MODEL, size=(24, 80))
    t.wait("Ask something")
    t.drain(0.3)
    t.send("\x1bOR")
    t.wait("message m0")
    t.drain(0.1)
    began = t.send("\r")
    opened = (t.wait(f"m{MESSAGES - 1}") - began) * 1000
    t.drain(0.3)
    times, sizes = [], []
    for i in range(200):
        began = t.send("\x1b[5~")
        count, last = t.drain(0.03)
        times.append((last - began) * 1000)
        sizes.append(count)
    t.close()
    report("open ms", opened, "ms", f"{MESSAGES} messages")
    report("page p50 ms", percentile(times, 50), "ms")
    report("page p99 ms", percentile(times, 99), "ms", f"{sum(sizes) / len(sizes):.0f} bytes a page")


def main():
    if not os.path.exists(MODEL):
        sys.exit(f"no model at {MODEL} (make model, or MODEL=FILE)")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("CONFIG", "DATA", "STATE", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = os.path.join(folder, name.lower())
        for name in [n for n in os.environ if n.startswith("PONDER_")]:
            del os.environ[name]
        os.environ["PONDER_LORA"] = "none"
        the_machine_alone()
        keys_while_it_writes()
        long_conversation(folder)
    sys.exit(1 if failed else 0)


main()
