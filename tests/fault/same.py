#!/usr/bin/env python3
"""Promise 9: the same file, seed and settings give the same text: at any number of threads, with speculation or without. K/V in memory, read back from disk or made anew:
tests/pty/kv.sh, with the real model."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import PONDER, WORK, Tap, new_model, ponder, rows

t = Tap()
for name, how in [("tiny", {}), ("wide", dict(embd=96, ff=160, heads=6, layers=3))]:
    model = new_model(name + ".gguf", **how)

    def run(*args):
        done = ponder("ask", "-m", model, "--private", "--no-loop-guard", "--budget", "120", "--answer-max", "120", "--temp", "1.2", *args, "Tell me of the sea.")
        return done.returncode, done.stdout, done.stderr

    first = run("--seed", "11", "-t", "1")
    t.check(f"{name}: it says something", first[0] == 0 and len(first[1]) > 10 and len(first[1] + first[2]) > 50, first)
    for threads in ("1", "2", "3", "5"):
        t.equal(f"{name}: the same with {threads} threads", run("--seed", "11", "-t", threads), first)
    t.equal(f"{name}: the same without speculation", run("--seed", "11", "-t", "2", "--speculate", "off"), first)
    t.check(f"{name}: another seed says something else", run("--seed", "12", "-t", "1") != first)

# ---- what a model writes is what is read, kept, read again and written again, also where it is no text ----

model = new_model("bytes.gguf")
odd = "be \udcff"         # a byte that is no text
SHORT = ["-m", model, "--no-loop-guard", "--budget", "120", "--answer-max", "120", "-c", "2048"]


def kept(db):
    return rows("SELECT prompt, thought, answer FROM turns ORDER BY message_id", db)


all_text = ""
for seed in ("4", "5", "6"):
    apart, whole = (os.path.join(WORK, seed, name, "chat.db") for name in ("apart", "whole"))
    told = [ponder("ask", *SHORT, "--seed", seed, "--db", apart, "--json", "--system", odd, *more, text).stdout for text, more in (("Tell me of the sea.", []), ("And then?", ["--continue"]))]
    said = [["".join(e["text"] for e in map(json.loads, out.splitlines()) if e["event"] == part) for part in ("thought", "answer")] for out in told]
    t.equal(f"seed {seed}: what is told is what is kept", [list(r[1:]) for r in kept(apart)], said)
    subprocess.run([PONDER, "--plain", *SHORT, "--seed", seed, "--db", whole, "--system", odd], input=b"Tell me of the sea.\nAnd then?\n", capture_output=True, timeout=120, check=False)
    t.equal(f"seed {seed}: a conversation gone on with is the one that was never left", kept(whole), kept(apart))
    for reply in ("m2", "m4"):
        done = ponder("replay", reply, "--db", apart)
        t.check(f"seed {seed}: {reply} comes again from the record", done.returncode == 0 and b"matched" in done.stdout, done)
    all_text += "".join("".join(r[1:]) for r in kept(apart))
t.check("there were a NUL and bytes that are no text among it", "\0" in all_text and "\ufffd" in all_text, ascii(all_text))
t.done()
