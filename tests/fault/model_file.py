#!/usr/bin/env python3
"""Promise 4, the part that needs a process: a model file that shrinks while it is mapped ends in one clear line, exit 3, and a terminal as before."""
import os
import re
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import ENDLESS, PONDER, SANITIZED, Tap, Terminal, new_model, ponder, rows

t = Tap()
threads = "2"       # which fault at the same time
model = new_model(ctx=65536)    # no reply comes to its end before the file is cut
keep = open(model, "rb").read()

p = subprocess.Popen([PONDER, "ask", "-m", model, "--seed", "1", "-t", threads, "--json", "--budget", "unlimited", "--no-loop-guard", "--think-min", "100000", "-c", "65536", "hello"],
                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
first = p.stdout.readline()
t.check("ask streams", b"thought" in first, first)
time.sleep(0.4)
os.truncate(model, 4096)
out, err = p.communicate(timeout=60)
t.equal("ask: the file shrinks: exit code", p.returncode, 3)
t.check("ask: one line that names it", err.count(b"\n") == 1 and err.startswith(b"ponder: ") and b"tiny.gguf: was cut short" in err, err)
for size in (0, 100, len(keep) // 2, len(keep) - 4):
    open(model, "wb").write(keep[:size])
    done = ponder("ask", "-m", model, "hello")
    t.check(f"ask: a file of {size} bytes", done.returncode == 3 and done.stderr.count(b"\n") == 1 and b"tiny.gguf" in done.stderr, (done.returncode, done.stderr))

open(model, "wb").write(keep)
term = Terminal([PONDER, "-m", model, "--budget", "unlimited", "--no-loop-guard", "--think-min", "100000", "-t", threads, "-c", "65536"])
term.expect("Enter send")
term.send("hello\r")
t.check("a chat thinks", term.expect("Thinking…"), term.text()[-500:])
time.sleep(0.4)
at = len(term.raw)
os.truncate(model, 4096)
code = term.wait()
t.equal("chat: the file shrinks: exit code", code, 3)
t.equal("chat: the terminal is as before", term.restored(), "")
last = term.raw.decode("utf-8", "replace").rstrip().splitlines()[-1]
t.check("chat: the last line says why", "tiny.gguf: was cut short" in last and "\x1b[?1049l" not in last.split("ponder:")[-1], last[-300:])
term.close()
t.equal("what came is in the record", [r[0] for r in rows("SELECT count(*) FROM messages WHERE role = 'user' AND text = 'hello'")], [2])
open(model, "wb").write(keep)
ponder("ask", "-m", model, "--budget", "4", "--answer-max", "4", "again")
t.equal("and its cut replies are marked", rows("SELECT count(*) FROM turns WHERE ended = 'interrupted' AND length(thought) > 0"), [(2,)])
huge = new_model("huge.gguf", ctx=16777216, layers=16, embd=256, ff=32, zero=True)
done = ponder("ask", "-m", huge, "-c", "16777216", "hello")
t.check("a context larger than memory is refused with numbers", done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"GB are free" in done.stderr, done)
t.equal("and a smaller one goes", ponder("ask", "-m", huge, "-c", "1024", "--budget", "4", "--answer-max", "4", "hello").returncode, 0)

# ---- held in memory ----


def held(limit):
    """kilobytes that a running chat holds, and what it says"""
    p = subprocess.Popen([PONDER, "ask", "-m", model, "-t", "1", "-c", "65536", "--mlock", *ENDLESS, "hello"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))) if limit is not None else None)
    kb, until = 0, time.monotonic() + 10
    while not kb and p.poll() is None and time.monotonic() < until:
        kb = int(re.search(r"VmLck:\s+(\d+)", open(f"/proc/{p.pid}/status").read())[1])
        time.sleep(0.05)
        if limit is not None and time.monotonic() > until - 8:
            break
    p.kill()
    return kb, p.stderr.read()


model = new_model(ctx=65536)
size = os.path.getsize(model) >> 10
kb, said = held(None)
if SANITIZED:
    t.skip("--mlock holds the model in memory", "AddressSanitizer makes mlock do nothing")
elif os.geteuid() == 0 or kb:
    t.check("--mlock holds the model in memory", kb >= size, (kb, size, said))
else:
    t.skip("--mlock holds the model in memory", "`ulimit -l` is too small here")
if os.geteuid() == 0:
    t.skip("what may not be held is told, and goes on", "root may hold everything")
else:
    kb, said = held(4096)
    t.check("what may not be held is told, and goes on", not kb and b"cannot be held in memory" in said, (kb, said))
t.done()
