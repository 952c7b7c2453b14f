#!/usr/bin/env python3
"""Promise 1, offline: no socket is opened, no program run, nothing written outside ponder's own folders; $EDITOR and files elsewhere still work."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import PONDER, WORK, Tap, Terminal, ask, new_model, ponder, traces

t = Tap()
model = new_model()
ours = ("/dev/null", "/dev/tty", WORK)


# what looks for leaks traces the program as well, and there is one tracer at a time
UNTRACED = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def traced(name, argv):
    log = os.path.join(WORK, name + ".strace")
    calls = "trace=network,execve,execveat,io_uring_setup,openat,open,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,symlink,symlinkat,link,linkat"
    return log, ["strace", "-f", "-o", log, "-e", calls, *argv]


def judge(name, log):
    text = open(log, errors="replace").read()
    sockets = [l for l in text.splitlines() if re.search(r"\b(socket|connect|bind|sendto|sendmsg|io_uring_setup)\(", l)]
    t.check(f"{name}: no socket", not sockets, "\n".join(sockets[:5]))
    programs = [l for l in text.splitlines() if re.search(r"\bexecve(at)?\(.*= 0$", l)]
    t.check(f"{name}: no program but itself", len(programs) == 1, "\n".join(programs[:5]))
    written = [l for l in text.splitlines() if re.search(r'open(at)?\(.*"(/[^"]*)".*(O_WRONLY|O_RDWR|O_CREAT)', l) and "= -1" not in l]
    outside = [l for l in written if not re.search(r'"(%s)' % "|".join(map(re.escape, ours)), l)]
    t.check(f"{name}: files opened for writing are its own", written and not outside, "\n".join(outside[:5]))


if traces():
    log, argv = traced("ask", [PONDER, "ask", "-m", model, "--budget", "20", "--answer-max", "20", "hello"])
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, env={**os.environ, **UNTRACED}, check=False)
    t.equal("ask under strace", done.returncode, 0)
    judge("ask", log)
    log, argv = traced("chat", [PONDER, "-m", model, "--budget", "20", "--answer-max", "20"])
    term = Terminal(argv, env=UNTRACED)
    t.check("chat under strace comes up", term.expect("Enter send", 60), term.text())
    term.send("hello\r")
    t.check("and answers", term.expect("Thought (for|briefly)", 60), term.text()[-500:])
    term.send("\x03\x03")
    term.wait()
    term.close()
    judge("chat", log)
else:
    t.skip("chat and ask under strace", "strace is not here, or may not trace")

# ---- the walls of a running chat ----


def statuses(pid):
    out = []
    for task in os.listdir(f"/proc/{pid}/task"):
        text = open(f"/proc/{pid}/task/{task}/status").read()
        out.append((int(re.search(r"NoNewPrivs:\s*(\d)", text)[1]), int(re.search(r"\nSeccomp:\s*(\d)", text)[1])))
    return out


def children(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


term = Terminal([PONDER, "-m", model, "--budget", "20", "--answer-max", "20", "-t", "2"])
t.check("a chat comes up", term.expect("Enter send"), term.text())
term.send("hello\r")
term.expect("Thought (for|briefly)")
found = statuses(term.pid)
filters = os.path.exists("/proc/sys/kernel/seccomp/actions_avail")
if filters:
    t.check("a filter is on every thread", len(found) > 1 and all(s == (1, 2) for s in found), found)
else:
    t.skip("a filter is on every thread", "this kernel has no filters of system calls")
helpers = children(term.pid)
t.equal("one process stands outside", len(helpers), 1)
t.check("which has no filter", [s[1] for s in statuses(helpers[0])] == [0] or not filters, statuses(helpers[0]))
term.send(f"/dump {WORK}/elsewhere/screen.txt\r")
t.check("a file in no folder is an error", term.expect("No such file"), term.text()[-300:])
os.mkdir(WORK + "/elsewhere")
term.send(f"/dump {WORK}/elsewhere/screen.txt\r")
t.check("a file elsewhere is written by that process", term.expect("the screen is in") and os.path.getsize(WORK + "/elsewhere/screen.txt") > 0, term.text()[-300:])
precious = WORK + "/elsewhere/precious"
open(precious, "w").write("mine")
term.send(f"/dump {precious}\r")
t.check("one that is there is not replaced", term.expect("is there already") and open(precious).read() == "mine", term.text()[-300:])
term.send(f"/dump {WORK}/elsewhere/.profile\r")
t.check("a hidden one is not written", term.expect("no hidden file") and not os.path.exists(WORK + "/elsewhere/.profile"), term.text()[-300:])
os.kill(helpers[0], signal.SIGKILL)
seen = len(term.text())
term.send(f"/dump {WORK}/elsewhere/second.txt\r")
landlock = "Landlock       version" in ponder("doctor").stdout.decode()
if landlock:
    t.check("without it the chat cannot write there", term.expect("cannot write", since=seen) and not os.path.exists(WORK + "/elsewhere/second.txt"),
            term.text()[seen:])
else:
    t.skip("without it the chat cannot write there", "this kernel has no Landlock")
seen = len(term.text())
term.send("/dump\r")
t.check("but in its own folder", term.expect("the screen is in", since=seen), term.text()[seen:])
seen = len(term.text())
term.send("\x18\x05")
if filters or landlock:
    t.check("nor can it start an editor", term.expect("the editor cannot be started", since=seen), term.text()[seen:])
else:
    t.skip("nor can it start an editor", "this kernel has neither Landlock nor filters of system calls")
term.send("\x03\x03")
t.equal("it quits", term.wait(), 0)
term.close()

editor = os.path.join(WORK, "editor")
open(editor, "w").write(f"#!/bin/sh\nprintf 'from the editor' >\"$1\"\necho x >{WORK}/elsewhere/editor-ran\n")
os.chmod(editor, 0o755)
term = Terminal([PONDER, "-m", model], env={"EDITOR": editor})
term.expect("Enter send")
pid = children(term.pid)[0]
term.send("\x18\x05")
t.check("the editor runs outside the walls", term.expect("from the editor") and os.path.exists(WORK + "/elsewhere/editor-ran"), term.text()[-300:])
os.kill(term.pid, signal.SIGKILL)
term.wait()
for _ in range(100):
    if not os.path.exists(f"/proc/{pid}"):
        break
    time.sleep(0.05)
t.check("the process outside goes with the program", not os.path.exists(f"/proc/{pid}"))
term.close()

# ---- what is named on the command line ----

db = WORK + "/elsewhere/mine.db"
t.equal("--db names a folder that may be written", ask(model, "--db", db, "--answer-max", "8", "--budget", "8", "hello").returncode, 0)
t.check("and the record is there", os.path.getsize(db) > 0)
doctor = ponder("doctor").stdout.decode()
t.check("doctor tells what this kernel has", re.search(r"(Landlock|seccomp) .*(version|sockets|lacks)", doctor), doctor)
t.equal("a chat can be run without walls", ask(model, "--no-sandbox", "--answer-max", "8", "--budget", "8", "hello").returncode, 0)
t.done()
