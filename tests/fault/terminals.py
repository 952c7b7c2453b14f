#!/usr/bin/env python3
"""Promise 7: small and odd terminals, no colour, dumb and unknown types, locales that are not UTF-8 or not there."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from judge import wrong
from world import PONDER, Tap, Terminal, new_model

t = Tap()
evil = new_model("evil.gguf", hostile=True)
SHORT = ["--budget", "60", "--answer-max", "150", "-t", "1", "--seed", "5"]

cases = [("40x8", 40, 8, {}), ("one column", 1, 24, {}), ("one line", 80, 1, {}), ("0x0", 0, 0, {}), ("monochrome", 80, 24, {"TERM": "vt100", "NO_COLOR": "1"}), ("NO_COLOR", 80, 24, {"NO_COLOR": "1"}),
         ("dumb", 80, 24, {"TERM": "dumb"}), ("vt100", 80, 24, {"TERM": "vt100"}), ("an unknown TERM", 80, 24, {"TERM": "no-such-terminal"}), ("no TERM", 80, 24, {"TERM": ""}),
         ("the C locale", 80, 24, {"LC_ALL": "C"}), ("a missing locale", 80, 24, {"LC_ALL": "xx_YY.UTF-8"}), ("linux console", 80, 24, {"TERM": "linux"}), ("500x200", 500, 200, {})]
for name, columns, lines, env in cases:
    term = Terminal([PONDER, "-m", evil, *SHORT], env=env, columns=columns, rows=lines)
    term.read(0.7)
    term.send("hello\r")
    term.read(1.5)
    alive = not term.ended()
    small = columns in range(1, 30) or lines in range(1, 4)
    said = len(term.raw) > 0
    if name in ("NO_COLOR", "monochrome"):
        t.check(f"{name} sends no colour", not re.search(rb"\x1b\[[0-9;:]*(3[0-7]|4[0-7]|38|48)[;:m]", term.raw))
    for size in ((20, 5), (1, 1), (80, 24)):
        term.resize(*size)
        term.send(b"x")
        term.read(0.1)
    term.send(b"\x7f" * 8 + b"\x03\x03")
    term.read(0.3)
    term.send(b"\x04")
    code = term.wait(20)
    t.check(f"{name}: it runs, takes a prompt and quits", alive and said and code in (0, 130), (alive, said, code, term.raw[-300:]))
    t.equal(f"{name}: the terminal is as it was", term.restored(), "")
    bad = wrong(term.raw, shift=env.get("TERM") in ("vt100", "linux"))
    t.check(f"{name}: nothing drives it", not bad, bad)
    term.close()
t.done()
