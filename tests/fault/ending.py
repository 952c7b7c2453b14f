#!/usr/bin/env python3
"""Promise 6: the terminal is as it was, however the program ends: by any signal, a crash, memory that runs out, a terminal that goes away; descriptors closed at the start are survived."""
import os
import re
import resource
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import ENDLESS, PONDER, SANITIZED, Tap, Terminal, new_model

t = Tap()
model = new_model(ctx=65536)


def thinking():
    term = Terminal([PONDER, "-m", model, "-t", "1", "-c", "65536", *ENDLESS])
    term.expect("Enter send")
    term.send("hello\r")
    term.expect("Thinking…")
    return term


CRASHES = [signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGBUS]
OTHERS = [signal.SIGALRM, signal.SIGUSR2, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR, signal.SIGSTKFLT, signal.SIGXCPU, signal.SIGSYS, signal.SIGTRAP]
for sig in [signal.SIGTERM, signal.SIGHUP, *CRASHES, *OTHERS]:
    term = thinking()
    os.kill(term.pid, sig)
    got = term.wait()
    # a sanitizer tells of a crash and exits in its own way
    t.check(f"{sig.name} ends it", got == 128 + sig or (SANITIZED and sig in CRASHES and got is not None), got)
    t.equal(f"{sig.name} leaves the terminal as it was", term.restored(), "")
    term.close()
term = thinking()
os.kill(term.pid, signal.SIGSTOP)
time.sleep(0.2)
at = len(term.text())
os.kill(term.pid, signal.SIGCONT)
term.send("\x1b")
t.check("SIGSTOP and SIGCONT", term.expect("stopped", since=at), term.text()[at:])
term.send("\x03\x03")
t.check("and it ends well", term.wait() == 0 and term.restored() == "", term.restored())
term.close()
for what, end in [("/quit", "/quit\r"), ("Ctrl-D", "\x04"), ("Ctrl-C twice", "\x03\x03")]:
    term = Terminal([PONDER, "-m", model])
    term.expect("Enter send")
    term.send(end)
    t.equal(f"{what} ends it well", term.wait(), 0)
    t.equal(f"{what} leaves the terminal as it was", term.restored(), "")
    term.close()
for missing in ["--theme=/nowhere.ini", "--model=/nowhere.gguf"]:
    term = Terminal([PONDER, missing])
    term.expect("Enter send|nowhere", 10)
    term.send("\x03\x03")
    t.check(f"{missing}: it ends", term.wait() is not None)
    t.equal(f"{missing}: the terminal is as it was", term.restored(), "")
    term.close()

# ---- memory runs out ----

if SANITIZED:
    t.skip("memory runs out", "a sanitizer needs all the address space")
else:
    for room in (0, 64 << 10, 1 << 20, 8 << 20):
        term = thinking()
        size = int(re.search(r"VmSize:\s+(\d+)", open(f"/proc/{term.pid}/status").read())[1]) << 10
        resource.prlimit(term.pid, resource.RLIMIT_AS, (size + room, size + room))
        for _ in range(40):
            if term.ended():
                break
            term.send("\x1b[200~" + "many words " * 300 + "\x1b[201~")
            term.read(0.05)
        term.resize(400, 200)
        term.send("/answer\r")
        term.read(0.5)
        alive = not term.ended()
        term.send("\x1b")
        term.read(0.3)
        term.send("\x03")
        term.read(0.2)
        term.send("\x03\x03")
        code = term.wait(20)
        t.check(f"{room >> 10} KB more and no byte beyond: it goes on until it is ended", alive and code == 0, (alive, code, term.text()[-300:]))
        t.equal(f"{room >> 10} KB more and no byte beyond: the terminal is as it was", term.restored(), "")
        term.close()

# ---- a terminal that goes away, descriptors that are not there ----

term = thinking()
os.close(term.master)
term.master = os.open("/dev/null", os.O_RDONLY)
limit = time.monotonic() + 20
while not term.ended() and time.monotonic() < limit:
    time.sleep(0.05)
t.check("a terminal that goes away ends it", term.ended())
term.close()
for closed in ([0], [1], [2], [0, 1, 2]):
    term = Terminal([PONDER, "ask", "-m", model, "--budget", "4", "--answer-max", "4", "hello"], before=lambda c=closed: [os.close(fd) for fd in c])
    code = term.wait(60)
    t.check(f"started without descriptor {closed}", code in (0, 1), code)
    term.close()
    term = Terminal([PONDER, "-m", model], before=lambda c=closed: [os.close(fd) for fd in c])
    term.expect("Enter send|> ", 3)
    term.send("\x03\x03\x04")
    code = term.wait(5)
    if code is None:
        os.kill(term.pid, signal.SIGTERM)
        code = term.wait(10)
    t.check(f"a chat without descriptor {closed}", code is not None and code < 128 + 3 or code == 143, code)
    term.close()

t.done()
