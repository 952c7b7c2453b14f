#!/usr/bin/env python3
"""Promise 3 on the raw bytes of a pty: nothing that a model, a prompt, an imported chat, a title or the name of a file says drives the terminal, wherever it is shown."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tiny
from judge import wrong
from world import PONDER, WORK, Tap, Terminal, ask, new_model, ponder

t = Tap()
model = new_model()
evil = new_model("evil.gguf", hostile=True)
SHORT = ["--budget", "60", "--answer-max", "150", "-t", "1", "--seed", "5"]


def clean(name, raw, **how):
    bad = wrong(raw, **how)
    t.check(f"{name}", not bad, bad)


corpus = b" ".join(tiny.ESCAPES)
t.check("the judge knows what is bad", all(wrong(b"ab" + e + b"cd", carriage=False) for e in tiny.ESCAPES if e not in (b"\x08\x08\x08", b"\x07", b"\x0e", b"\x1bc", b"\x1b[2J", b"\x1b[31m",
        b"\x1b[?1049h", b"\x1b[6n", b"\xff", b"\xf8\x88", b"\xc2\x85", b"\x05") and not e.startswith((b"\xed", b"\xc0", b"\xe0", b"\xf0\x80"))),
        [e for e in tiny.ESCAPES if not wrong(b"ab" + e + b"cd", carriage=False)])
done = ask(evil, *SHORT, "hello")
clean("ask on a pipe, answer", done.stdout, own=False, carriage=False, pipe=True)
clean("ask on a pipe, thought", done.stderr, own=False, carriage=False, pipe=True)
t.check("the model did try", "\u241b".encode() in done.stdout + done.stderr)
done = ask(evil, *SHORT, "--json", "hello")
t.check("--json is plain ASCII, escaped", all(32 <= c <= 127 or c == 10 for c in done.stdout))
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
with open(name, "wb") as f:
    f.write(tiny.model(hostile=True, layers=1))
for what, argv in [("an error line with a file's name", ["ask", "-m", name + ".not", "hi"]), ("a usage error", ["ask", "--\x1b]0;owned\x07\u202e"]), ("an unknown command", ["\x1b[31mx\u202e"]),
                   ("info of a file with such a name", ["info", name]), ("a theme that is not there", ["--theme", name, "-m", model]), ("a record that is none", ["list", "--db", name]),
                   ("import of what is no chat", ["import", name]), ("an export to a name that is taken", ["export", "--format", "sft", "-o", name])]:
    term = Terminal([PONDER, *argv])
    term.expect("Enter send", 3)
    term.send("\x03\x03")
    term.wait()
    clean(what, term.raw)
    term.close()

# ---- a chat from a stranger, with escapes in every text, in every place that shows it ----

bad = "quince " + "".join(e.decode("utf-8", "replace") for e in tiny.ESCAPES) + " \U000e0041 \x1b[5;8mhidden\x1b[0m"
shared = WORK + "/shared.json"
with open(shared, "w") as f:
    reply = {"model": bad, "model_file": bad, "quant": bad, "family": bad, "adapter": bad, "system": bad, "ended": "natural", "answer_ended": "complete", "budget": bad, "budget_final": bad,
             "thought_tokens": 3, "answer_tokens": 3}
    message = [{"id": 1, "role": "user", "created_ms": 1, "text": bad},
               *({"id": n, "parent": 1, "role": "assistant", "created_ms": n, "thought": f"{bad}. {n}", "text": f"{n} {bad}\n```c\n{bad}\n```\n| {bad} | b |\n|---|---|\n| {bad} | d |\n\n[{bad}](http://{bad})",
                  "reply": reply, "answer_rating": 1, "tags": [bad], "answer_comment": bad} for n in (2, 3))]
    json.dump({"format": "ponder", "version": 1, "conversations": [{"id": 1, "title": bad, "system": bad, "leaf": 3, "created_ms": 1, "updated_ms": 9, "messages": message}]}, f)
done = ponder("import", shared)
t.check("a chat with escapes in it is imported", done.returncode == 0 and b"quince" in ponder("list").stdout, done)
newest = ponder("list").stdout.split()[0].decode()
replies = [m["id"] for m in json.loads(ponder("export", "--format", "json", "-o", "-").stdout)["conversations"][-1]["messages"]]
ponder("rate", f"m{replies[-1]}", "--answer", "up", "--tag", bad.replace("\0", ""), "--comment", bad.replace("\0", ""))
commands = [["list"], ["show", newest], ["search", "quince"], ["stats"], ["rate", f"m{replies[-1]}", "--tag", "\x1b]0;owned\x07"], ["check"], ["replay", f"m{replies[-1]}"],
            *(["export", "--format", kind, "-o", "-"] for kind in ("sft", "openai", "sharegpt", "alpaca", "text", "markdown", "html", "json")), ["export", "--format", "sft", "--dry-run", "-o", "-"]]
for argv in commands:
    term = Terminal([PONDER, *argv, *(["-m", model] if argv[0] == "replay" else [])])
    term.wait()
    clean(f"{' '.join(argv[:3])} on a terminal", term.raw)
    term.close()
    piped = ponder(*argv, *(["-m", model] if argv[0] == "replay" else []))
    clean(f"{' '.join(argv[:3])} on a pipe", piped.stdout + piped.stderr, own=False, pipe=True)
for argv, keys in [(["--resume", newest], ["\x1bOR", "\x1b", "\x1b[15~", "\t", "t", "\x1b", "s", "\x1b", "v", "\x1b", "T", "\x1b", "/quince\r", "B", "\x1b", "\x1b", "\x0f", "\x12quince", "\x1b", "/open ", "\t", "\x15", "/layout side\r"]),
                   (["--plain", "--resume", newest], ["/set\r", "/open\r"]), (["review"], ["n", "\x1b"])]:
    term = Terminal([PONDER, *argv, *(["-m", evil, *SHORT] if argv != ["review"] else [])], columns=160, rows=50)
    term.expect("Enter send|> |quince|nothing")
    for key in keys:
        term.send(key)
        term.read(0.3)
    seen = "quince" in term.text()
    term.send("\x1b")
    term.read(0.2)
    term.send("\x03")
    term.read(0.2)
    term.send("\x03\x03\x04q")
    term.wait(10)
    clean(f"{' '.join(argv[:1])} of that chat, its lists and popups", term.raw)
    t.check(f"{' '.join(argv[:1])} of that chat did show it", seen or argv[0] != "--resume", term.text()[-400:])
    term.close()
done = ask(model, "--budget", "4", "--answer-max", "4", "שלום عربي 👩‍👩‍👧")
t.check("right-to-left text and joiners stay legible", "שלום عربي" in ponder("list").stdout.decode() and "👩‍👩‍👧" in ponder("show", "c4").stdout.decode() + ponder("list").stdout.decode(),
        ponder("list").stdout.decode())

t.done()
