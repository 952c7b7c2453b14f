#!/usr/bin/env python3
"""Promise 9: the same file, seed and settings give the same text: at any number of threads, with speculation or without, with K/V in memory, read back from disk or made anew."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import PONDER, WORK, Tap, Terminal, new_model, ponder, rows

t = Tap()
for name, how in [("tiny", {}), ("wide", dict(embd=96, ff=160, heads=6, layers=3))]:
    model = new_model(name + ".gguf", **how)

    def run(*args):
        done = ponder("ask", "-m", model, "--private", "--no-loop-guard", "--budget", "120", "--answer-max", "120", "--temp", "1.2", *args, "Tell me of the sea.")
        return done.returncode, done.stdout, done.stderr

    first = run("--seed", "11", "-t", "1")
    t.check(f"{name}: it says something", first[0] == 0 and len(first[1]) > 50, first)
    for threads in ("1", "2", "3", "5"):
        t.equal(f"{name}: the same with {threads} threads", run("--seed", "11", "-t", threads), first)
    t.equal(f"{name}: the same without speculation", run("--seed", "11", "-t", "2", "--speculate", "off"), first)
    t.check(f"{name}: another seed says something else", run("--seed", "12", "-t", "1") != first)

# ---- a conversation gone on with: K/V in memory, read back from disk, or evaluated anew ----

model = new_model("kept.gguf")
lines = [f"Line {i} of a prompt so long that what is evaluated of it is kept on disk." for i in range(60)]


def conversation(name, *args, forget=False):
    """two turns in two processes; the text of the second, and how much of its prompt was evaluated"""
    db = os.path.join(WORK, name, "chat.db")
    told = []
    for text, more in [("\n".join(lines), []), ("And then?", ["--continue"])]:
        if forget:
            shutil.rmtree(os.path.join(WORK, "cache"), ignore_errors=True)
        done = ponder("ask", "-m", model, "--db", db, "--seed", "4", "-c", "4096", "--no-loop-guard", "--budget", "40", "--answer-max", "40", "--temp", "1.2", *args, *more, text)
        told.append((done.returncode, done.stdout, done.stderr))
    return told


with_files = conversation("a", "-t", "1")
kv = [os.path.join(folder, f) for folder, _, files in os.walk(WORK + "/cache/ponder/kv") for f in files]
t.check("what was evaluated is on disk", kv)
t.equal("read back from disk it gives the same text as evaluated anew", with_files, conversation("b", "-t", "2", "--kv-disk", "0"))
t.equal("and after the cache was removed", with_files, conversation("c", "-t", "3", forget=True))
term = Terminal([PONDER, "-m", model, "--db", os.path.join(WORK, "d", "chat.db"), "--seed", "4", "-c", "4096", "--no-loop-guard", "--budget", "40", "--answer-max", "40", "--temp", "1.2", "-t", "2"])
term.expect("Enter send")
for text in ("\n".join(lines), "And then?"):
    seen = len(term.text())
    term.send("\x1b[200~" + text + "\x1b[201~\r")
    term.expect("Thought (for|briefly)", 60, since=seen)
    term.read(1.0)
term.send("\x03\x03")
term.wait()
term.close()
texts = [rows("SELECT thought, answer FROM turns ORDER BY message_id", os.path.join(WORK, name, "chat.db")) for name in "abcd"]
t.check("a chat that had it in memory all the time says the same", len(texts[0]) == 2 and all(x == texts[0] for x in texts), texts)
t.done()
