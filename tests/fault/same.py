#!/usr/bin/env python3
"""Promise 9: the same file, seed and settings give the same text: at any number of threads, with speculation or without. K/V in memory, read back from disk or made anew:
tests/pty/kv.sh, with the real model."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import Tap, new_model, ponder

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
t.done()
