#!/usr/bin/env python3
"""Promise 8: a full disk, a read-only or locked record, a lost folder and a failing fsync are told; the chat goes on, saving is tried again, nothing acknowledged disappears."""
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import DB, PONDER, WORK, Tap, Terminal, ask, new_model, ponder, rows, traces

t = Tap()
model = new_model()
SHORT = ["--budget", "8", "--answer-max", "8", "-t", "1"]
ask(model, *SHORT, "before it all")


def whole(db=DB):
    with sqlite3.connect(db) as c:
        return c.execute("PRAGMA integrity_check").fetchone()[0]


def say(term, text):
    at = len(term.text())
    term.send(text + "\r")
    return term.expect("Thought (for|briefly)", since=at)


# ---- a full disk, which gets room again ----
term = Terminal([PONDER, "-m", model, *SHORT])
term.expect("Enter send")
t.check("a chat with a record answers", say(term, "room enough"), term.text()[-300:])
term.read(0.5)
size = max(os.path.getsize(DB), os.path.getsize(DB + "-wal"))
resource.prlimit(term.pid, resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
at = len(term.text())
t.check("the disk is full: it still answers", say(term, "no room one") and say(term, "no room two"), term.text()[-300:])
t.check("and a banner says so", re.search("not saved|no space|cannot be saved|full", term.text()[at:]), term.text()[at:])
t.equal("what was acknowledged is there", rows("SELECT count(*) FROM messages WHERE text IN ('before it all', 'room enough')"), [(2,)])
t.equal("what was not is not", rows("SELECT count(*) FROM messages WHERE text LIKE 'no room%'"), [(0,)])
resource.prlimit(term.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
t.check("room again: it answers", say(term, "room again"))
term.read(0.5)
term.send("\x03\x03")
t.equal("and ends well", term.wait(), 0)
term.close()
t.equal("and everything is on disk, also what had to wait", rows("SELECT text FROM messages WHERE role = 'user' ORDER BY id"),
        [("before it all",), ("room enough",), ("no room one",), ("no room two",), ("room again",)])
t.equal("with their replies", rows("SELECT count(*) FROM turns WHERE length(thought) + length(answer) > 0"), [(5,)])
t.equal("the record is whole", whole(), "ok")

# ---- fsync fails ----
if traces():
    for call, error in [("fdatasync", "EIO"), ("fsync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")]:
        before = rows("SELECT count(*) FROM messages WHERE role = 'user'")
        p = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=3+", PONDER, "ask", "-m", model, *SHORT, f"{call} {error}"],
                           env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        t.check(f"{call} fails with {error}: no crash", p.returncode in (0, 1, 3), p)
        t.check(f"{call} fails with {error}: an answer or a reason, in a line", p.stdout.strip() or p.stderr.startswith(b"ponder: "), p)
        t.equal(f"{call} fails with {error}: the record is whole", whole(), "ok")
        t.check(f"{call} fails with {error}: and keeps what it had", rows("SELECT count(*) FROM messages WHERE role = 'user'") >= before)
else:
    t.skip("failing system calls", "strace is not here, or may not trace")

# ---- read-only ----
if os.geteuid() != 0:
    os.chmod(DB, 0o400)
    term = Terminal([PONDER, "-m", model, *SHORT])
    t.check("a read-only record: the chat comes up or says why", term.expect("Enter send|read.?only|cannot"), term.text())
    term.send("\x03\x03")
    term.wait()
    term.close()
    os.chmod(DB, 0o600)
else:
    t.skip("a record of mode 0400", "root writes it all the same")

# ---- locked by another ----
lock = sqlite3.connect(DB, isolation_level=None, timeout=10)
lock.execute("BEGIN IMMEDIATE")
lock.execute("UPDATE notes SET value = value")
term = Terminal([PONDER, "-m", model, *SHORT])
t.check("a locked record: the chat comes up", term.expect("Enter send", 60), term.text())
at = len(term.text())
term.send("while it is locked\r")
t.check("it answers", term.expect("Thought (for|briefly)", 90, since=at), term.text()[at:])
t.check("and says what is wrong", re.search("another program|not saved|in use", term.text()), term.text()[at:])
lock.execute("ROLLBACK")
lock.close()
t.check("when the lock is gone it goes on", say(term, "free again"))
term.read(0.5)
term.send("\x03\x03")
term.wait(30)
term.close()
t.equal("and both are there", rows("SELECT count(*) FROM messages WHERE text IN ('while it is locked', 'free again')"), [(2,)])

# ---- the folder is lost ----
gone = WORK + "/gone"
term = Terminal([PONDER, "-m", model, *SHORT], env={"XDG_DATA_HOME": gone})
term.expect("Enter send")
t.check("a chat in a folder of its own", say(term, "first"))
shutil.rmtree(gone)
t.check("the folder is removed: it still answers", say(term, "second") and say(term, "third"), term.text()[-400:])
term.send("\x03\x03")
t.check("and ends", term.wait(30) in (0, 1))
term.close()
term = Terminal([PONDER, "-m", model, *SHORT], env={"XDG_DATA_HOME": "/proc/no"})
t.check("a folder that cannot be made: the chat comes up and says so", term.expect("Enter send") and re.search("not saved|cannot|memory", term.text()), term.text())
t.check("and answers", say(term, "in memory"))
term.send("\x03\x03")
t.equal("and ends well", term.wait(), 0)
term.close()
done = ponder("ask", "-m", model, *SHORT, "a full device", timeout=60)
with open("/dev/full", "wb") as full:
    t.equal("a full device as output is an error", subprocess.run([PONDER, "ask", "-m", model, *SHORT, "x"], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.DEVNULL, check=False).returncode, 1)
t.done()
