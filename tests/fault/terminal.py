#!/usr/bin/env python3
"""Promises 3, 6 and 7 on the raw bytes of a pty: nothing a model, a prompt, a title or a file name says drives the terminal; it is restored however the program ends; odd
terminals, sizes and locales are survived."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tiny
from world import LONG, PONDER, WORK, Tap, Terminal, ask, new_model, ponder

t = Tap()
model = new_model()
evil = new_model("evil.gguf", hostile=True)
SHORT = ["--budget", "60", "--answer-max", "150", "-t", "1", "--seed", "5"]

# ---- promise 3: what may be in the bytes -----------------------------------------------------------------------------
# What the program itself sends: colours, moves, erasing, modes; with numbers only, and no string but the clipboard's on request.
OURS = re.compile(rb"\x1b(\[[0-9;:]*[A-HJKLMPSTXZ@`abdefghlmnrst]|\[\?[0-9;]*[hlu]|\[[<>=?]?[0-9;]*[umcpq]|\[[0-9;]* q|[()][0-9A-B]|[=>78MHc]|\[![p])")
FORBIDDEN = {
    "an escape that is not ours": re.compile(rb"\x1b"),
    "a raw C1 byte outside a character": None,
    "another control": re.compile(rb"[\x00-\x06\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"),
}
MARKS = [0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069, 0x200E, 0x200F, 0x2028, 0x2029, 0x200B, 0xFEFF]


def wrong(raw, own=True, carriage=True, pipe=False, shift=False):
    """what in the bytes could drive a terminal and is not the program's own"""
    found = []
    rest = OURS.sub(b"", raw) if own else raw
    rest = rest.replace(b"\x0f", b"") if shift else rest  # how a vt100 leaves its line drawing characters
    rest = rest.replace(b"\x7f", b"") if pipe else rest
    for name, pattern in FORBIDDEN.items():
        m = pattern and pattern.search(rest)
        if m:
            found.append(f"{name}: {rest[max(0, m.start() - 20):m.start() + 20]!r}")
    if re.search(rb"\x1b\][^\x07\x1b]*owned|\x1b\]52|\x1b\]0;|\x1b\]8;|\x1bP|\x1b_|\x1b\^|\x1b\[2J\x1b\[31m", raw):
        found.append("a string sequence of the model's")
    text = rest.decode("utf-8", "surrogateescape")
    for c in text:
        n = ord(c)
        if 0x80 <= n <= 0x9F or (not pipe and (n in MARKS or 0xE0000 <= n <= 0xE007F)) or 0xDC80 <= n <= 0xDC9F:
            found.append(f"U+{n:04X}")
            break
    if not carriage and b"\r" in rest:
        found.append("a carriage return")
    return "\n".join(found)


def clean(name, raw, **how):
    bad = wrong(raw, **how)
    t.check(f"promise 3: {name}", not bad, bad)


corpus = b" ".join(tiny.ESCAPES)
t.check("the judge knows what is bad", all(wrong(b"ab" + e + b"cd", carriage=False) for e in tiny.ESCAPES if e not in (b"\x08\x08\x08", b"\x07", b"\x0e", b"\x1bc", b"\x1b[2J", b"\x1b[31m",
        b"\x1b[?1049h", b"\x1b[6n", b"\xff", b"\xf8\x88", b"\xc2\x85", b"\x05") and not e.startswith((b"\xed", b"\xc0", b"\xe0", b"\xf0\x80"))),
        [e for e in tiny.ESCAPES if not wrong(b"ab" + e + b"cd", carriage=False)])
done = ask(evil, *SHORT, "hello")
clean("ask on a pipe, answer", done.stdout, own=False, carriage=False, pipe=True)
clean("ask on a pipe, thought", done.stderr, own=False, carriage=False, pipe=True)
t.check("the model did try", "\u241b".encode() in done.stdout + done.stderr)
done = ask(evil, *SHORT, "--json", "hello")
t.check("promise 3: --json is plain ASCII, escaped", all(32 <= c <= 127 or c == 10 for c in done.stdout))
for name, argv in [("the full screen", []), ("plain mode", ["--plain"])]:
    term = Terminal([PONDER, "-m", evil, *SHORT, *argv])
    term.expect("Enter send|> ")
    term.send(b"say \x1b[200~pasted " + corpus.replace(b"\r", b"").replace(b"\x1b", b"") + b"\x1b[201~\r" if not argv else b"hello\r")
    term.expect(r"Thought (for|briefly)|\[thought for")
    term.read(1.0)
    term.send(b"\x03\x03" if not argv else b"\x04")
    term.wait()
    clean(name, term.raw)
    t.check(f"{name}: the stand-ins are seen", "\u241b" in term.raw.decode("utf-8", "replace") or "\ufffd" in term.raw.decode("utf-8", "replace"))
    term.close()
name = WORK + "/evil\x1b]0;owned\x07\u202e\x9b31m.gguf"
for what, argv in [("an error line with a file's name", ["ask", "-m", name, "hi"]), ("a usage error", ["ask", "--\x1b]0;owned\x07\u202e"]), ("an unknown command", ["\x1b[31mx\u202e"]),
                   ("info of a file with such a name", ["info", name])]:
    if what.startswith("info"):
        with open(name, "wb") as f:
            f.write(tiny.model(hostile=True, layers=1))
    term = Terminal([PONDER, *argv])
    term.wait()
    clean(what, term.raw)
    term.close()
done = ponder("ask", "-m", model, "--seed", "1", "--budget", "4", "--answer-max", "4", stdin="titled \x1b]0;owned\x07 \u202e \x9b31m \U000e0041".encode())
t.equal("a prompt with escapes is taken", done.returncode, 0)
for what, argv in [("list on a terminal", ["list"]), ("show", ["show", "c1"]), ("search", ["search", "titled"]), ("export preview", ["export", "--format", "markdown", "-o", "/dev/stdout", "--dry-run"])]:
    term = Terminal([PONDER, *argv])
    term.wait()
    clean(what, term.raw)
    term.close()
for what, argv in [("list on a pipe", ["list"]), ("show on a pipe", ["show", "c1"])]:
    clean(what, ponder(*argv).stdout, own=False, pipe=True)
done = ask(model, "--budget", "4", "--answer-max", "4", "שלום عربي 👩‍👩‍👧")
t.check("promise 3: right-to-left text and joiners stay legible", "שלום عربي" in ponder("list").stdout.decode() and "👩‍👩‍👧" in ponder("show", "c4").stdout.decode() + ponder("list").stdout.decode(),
        ponder("list").stdout.decode())

# ---- promise 6: the terminal afterwards --------------------------------------------------------------------------------

ENDLESS = ["-m", model, "--budget", "unlimited", "--think-min", "100000", "--no-loop-guard", "-t", "1", "-c", "4096"]


def thinking():
    term = Terminal([PONDER, *ENDLESS])
    term.expect("Enter send")
    term.send("hello\r")
    term.expect("Thinking…")
    return term


for sig, code in [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, None), (signal.SIGSEGV, 139), (signal.SIGABRT, 134), (signal.SIGFPE, 136), (signal.SIGILL, 132), (signal.SIGBUS, 135)]:
    term = thinking()
    os.kill(term.pid, sig)
    got = term.wait()
    t.check(f"promise 6: {sig.name} ends it", got is not None and (code is None or got == code), got)
    t.equal(f"promise 6: {sig.name} leaves the terminal as it was", term.restored(), "")
    term.close()
term = thinking()
os.kill(term.pid, signal.SIGSTOP)
time.sleep(0.2)
at = len(term.text())
os.kill(term.pid, signal.SIGCONT)
term.send("\x1b")
t.check("promise 6: SIGSTOP and SIGCONT", term.expect("stopped", since=at), term.text()[at:])
term.send("\x03\x03")
t.check("promise 6: and it ends well", term.wait() == 0 and term.restored() == "", term.restored())
term.close()
term = thinking()
os.close(term.master)
term.master = os.open("/dev/null", os.O_RDONLY)
limit = time.monotonic() + 20
while not term.ended() and time.monotonic() < limit:
    time.sleep(0.05)
t.check("promise 6: a terminal that goes away ends it", term.ended())
term.close()
for closed in ([0], [1], [2], [0, 1, 2]):
    term = Terminal([PONDER, "ask", "-m", model, "--budget", "4", "--answer-max", "4", "hello"], before=lambda c=closed: [os.close(fd) for fd in c])
    code = term.wait(60)
    t.check(f"promise 6: started without descriptor {closed}", code in (0, 1), code)
    term.close()
    term = Terminal([PONDER, "-m", model], before=lambda c=closed: [os.close(fd) for fd in c])
    term.expect("Enter send|> ", 3)
    term.send("\x03\x03\x04")
    code = term.wait(5)
    if code is None:
        os.kill(term.pid, signal.SIGTERM)
        code = term.wait(10)
    t.check(f"promise 6: a chat without descriptor {closed}", code is not None and code < 128 + 3 or code == 143, code)
    term.close()

# ---- promise 7: odd terminals, sizes, locales ---------------------------------------------------------------------------

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
        t.check(f"promise 7: {name} sends no colour", not re.search(rb"\x1b\[[0-9;:]*(3[0-7]|4[0-7]|38|48)[;:m]", term.raw))
    for size in ((20, 5), (1, 1), (80, 24)):
        term.resize(*size)
        term.send(b"x")
        term.read(0.1)
    term.send(b"\x7f" * 8 + b"\x03\x03")
    term.read(0.3)
    term.send(b"\x04")
    code = term.wait(20)
    t.check(f"promise 7: {name}: it runs, takes a prompt and quits", alive and said and code in (0, 130), (alive, said, code, term.raw[-300:]))
    t.equal(f"promise 7: {name}: the terminal is as it was", term.restored(), "")
    bad = wrong(term.raw, shift=env.get("TERM") in ("vt100", "linux"))
    t.check(f"promise 7: {name}: nothing drives it", not bad, bad)
    term.close()
t.done()
