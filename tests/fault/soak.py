#!/usr/bin/env python3
"""A chat with scripted input for SOAK_SECONDS (30; an hour by `make soak`): memory and descriptors stay where they are."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import PONDER, Tap, Terminal, new_model, ponder

t = Tap()
seconds = float(os.environ.get("SOAK_SECONDS", "30"))
model = new_model()
term = Terminal([PONDER, "-m", model, "--budget", "30", "--answer-max", "30", "-t", "1", "-c", "1024"])
t.check("the chat comes up", term.expect("Enter send"), term.text())


def state():
    status = open(f"/proc/{term.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]), len(os.listdir(f"/proc/{term.pid}/fd"))


script = ["tell me more\r", "/new\r", "/budget 20\r", "what then?\r", "\x0f", "/think off\r", "and now?\r", "/think on\r", "\x1b[5~\x1b[6~", "a line that is taken back\x15"]
start, rounds, samples = time.monotonic(), 0, []
while time.monotonic() - start < seconds and not term.ended():
    term.send(script[rounds % len(script)])
    term.read(0.25)
    rounds += 1
    term.raw = term.raw[-65536:]
    if rounds % len(script) == 0:
        samples.append(state())
t.check(f"{rounds} inputs later it runs", not term.ended() and len(samples) >= 2, (rounds, samples))
warm, last = samples[len(samples) // 3], samples[-1]
t.check(f"memory is flat ({warm[0]} KB after a third, {last[0]} KB at the end)", last[0] < warm[0] * 1.2 + 4096, samples)
t.check(f"descriptors are flat ({warm[1]}, {last[1]})", last[1] <= warm[1] + 1, samples)
term.send("\x1b")
term.read(0.5)
term.send("\x03")
term.read(0.2)
term.send("\x03\x03")
t.equal("it ends well", term.wait(30), 0)
t.equal("the terminal is as before", [w for w in term.restored().split(", ") if "cc" in w or "flag" in w], [])
t.equal("the record is whole", ponder("check").stdout, b"the record is whole\n")
term.close()
t.done()
