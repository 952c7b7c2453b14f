#!/usr/bin/env python3
"""Promise 7: small and odd terminals, no colour, dumb and unknown types, locales that are not UTF-8 or not there."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from judge import wrong
from world import PONDER, WORK, Tap, Terminal, new_model

t = Tap()
evil = new_model("evil.gguf", hostile=True)
SHORT = ["--budget", "60", "--answer-max", "150", "-t", "1", "--seed", "5"]

cases = [("40x8", 40, 8, {}), ("one column", 1, 24, {}), ("one line", 80, 1, {}), ("0x0", 0, 0, {}), ("monochrome", 80, 24, {"TERM": "vt100", "NO_COLOR": "1"}), ("NO_COLOR", 80, 24, {"NO_COLOR": "1"}),
         ("dumb", 80, 24, {"TERM": "dumb"}), ("vt100", 80, 24, {"TERM": "vt100"}), ("an unknown TERM", 80, 24, {"TERM": "no-such-terminal"}), ("no TERM", 80, 24, {"TERM": ""}),
         ("the C locale", 80, 24, {"LC_ALL": "C"}), ("a missing locale", 80, 24, {"LC_ALL": "xx_YY.UTF-8"}), ("linux console", 80, 24, {"TERM": "linux"}), ("500x200", 500, 200, {})]
latin = WORK + "/locales"
os.mkdir(latin)
if shutil.which("localedef") and subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1", latin + "/de_DE.ISO-8859-1"], capture_output=True, check=False).returncode == 0:
    cases.append(("a Latin-1 locale", 80, 24, {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": latin}))
else:
    t.skip("a Latin-1 locale", "none can be made here (localedef, package locales)")
for name, columns, lines, env in cases:
    term = Terminal([PONDER, "-m", evil, *SHORT], env=env, columns=columns, rows=lines)
    term.read(0.7)
    term.send("hello\r")
    term.expect(r"Thought (for|briefly)|\[thought for", 10 if columns != 1 and lines != 1 else 1.5)
    alive = not term.ended()
    said = len(term.raw) > 0
    if name in ("NO_COLOR", "monochrome"):
        t.check(f"{name}: no colour", not re.search(rb"\x1b\[[0-9;:]*(3[0-7]|4[0-7]|38|48)[;:m]", term.raw))
    if name in ("dumb", "an unknown TERM", "no TERM"):
        t.check(f"{name}: lines, since the cursor cannot be moved there", "[thought for" in term.text() and "Enter send" not in term.text() and b"\x1b" not in term.raw, term.raw[-300:])
    elif columns != 1 and lines != 1:
        t.check(f"{name}: the screen, with the reply", re.search("Starting…|Thinking…|Thought (for|briefly)|Starting\\.\\.\\.|Thinking\\.\\.\\.", term.text()), term.text()[-300:])
    if env.get("LC_ALL", "UTF-8").find("UTF-8") < 0:
        t.check(f"{name}: not a byte that is no ASCII", all(c < 0x80 for c in term.raw), bytes(c for c in term.raw if c >= 0x80)[:40])
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
