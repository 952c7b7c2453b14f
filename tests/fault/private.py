#!/usr/bin/env python3
"""Promise 5: files are 0600 in 0700 folders whatever the umask, symbolic links are not followed, nothing of a private chat reaches the disk, no core is dumped, no log has text."""
import os
import re
import signal
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import DB, PONDER, WORK, Tap, Terminal, ask, new_model, ponder

t = Tap()
model = new_model()
FOLDERS = [f"{WORK}/{kind}/ponder" for kind in ("data", "state", "cache", "config")]


def chat(text, *args, env=None, before=None):
    term = Terminal([PONDER, "-m", model, "--budget", "8", "--answer-max", "8", *args], env=env, before=before)
    term.expect("Enter send")
    term.send(text + "\r")
    term.expect("Thought (for|briefly)")
    term.read(1.0)
    term.send("a draft\x1b")
    term.read(2.2)
    return term


def modes():
    bad = []
    for top in FOLDERS:
        for folder, _, files in os.walk(top):
            if stat.S_IMODE(os.lstat(folder).st_mode) != 0o700:
                bad.append(f"{oct(os.lstat(folder).st_mode)} {folder}")
            bad += [f"{oct(os.lstat(folder + '/' + f).st_mode)} {folder}/{f}" for f in files if stat.S_IMODE(os.lstat(folder + "/" + f).st_mode) != 0o600]
    return bad


def found(word):
    hits = []
    for folder, _, files in os.walk(WORK):
        for f in files:
            if os.path.islink(os.path.join(folder, f)):
                continue
            with open(os.path.join(folder, f), "rb") as file:
                if word.encode() in file.read():
                    hits.append(os.path.join(folder, f))
    return hits


for mask in (0o000, 0o022, 0o777):
    term = chat(f"umask {mask:o}", before=lambda m=mask: os.umask(m))
    bad = modes()
    t.check(f"umask {mask:03o}: 0600 in 0700 while a chat runs", not bad, "\n".join(bad))
    term.send("\x03\x03")
    t.equal(f"umask {mask:03o}: it ends well", term.wait(), 0)
    term.close()
    bad = modes()
    t.check(f"umask {mask:03o}: and afterwards", not bad, "\n".join(bad))
t.check("files were made in every folder that has any", all(os.path.isdir(f) for f in FOLDERS) and os.path.exists(DB), FOLDERS)
term = chat("core limit")
limits = open(f"/proc/{term.pid}/limits").read()
t.check("no core file is made", re.search(r"Max core file size\s+0\s+0", limits), limits)
os.kill(term.pid, signal.SIGSEGV)
term.wait()
term.close()
t.equal("not after a crash either", [f for f in os.listdir(".") + os.listdir(WORK) if f.startswith("core")], [])

elsewhere = WORK + "/elsewhere"
os.mkdir(elsewhere)
for what, make in [("a record", lambda: (open(elsewhere + "/x.db", "w").close(), os.symlink(elsewhere + "/x.db", WORK + "/link.db"))),
                   ("a dangling record", lambda: (os.unlink(WORK + "/link.db"), os.symlink(elsewhere + "/new.db", WORK + "/link.db")))]:
    make()
    done = ask(model, "--db", WORK + "/link.db", "--budget", "4", "--answer-max", "4", "hi")
    t.check(f"{what} that is a link is refused", done.returncode == 3 and b"symbolic link" in done.stderr, done)
t.equal("and nothing is made behind it", sorted(os.listdir(elsewhere)), ["x.db"])
os.rename(FOLDERS[1], WORK + "/moved")
os.symlink(elsewhere, FOLDERS[1])
term = chat("the history is a link away")
term.send("\x03\x03")
term.wait()
term.close()
t.equal("no history goes into a folder that is a link", sorted(os.listdir(elsewhere)), ["x.db"])
os.unlink(FOLDERS[1])

term = chat("quizzaciously private", "--private")
term.send("\x03\x03")
t.equal("a private chat ends well", term.wait(), 0)
term.close()
ponder("ask", "-m", model, "--private", "--budget", "8", "--answer-max", "8", "quizzaciously asked")
t.equal("and leaves nothing on the disk", found("quizzaciously"), [])

# ---- /private inside a chat whose walls stand ----

editor = WORK + "/editor"
open(editor, "w").write("#!/bin/sh\nprintf ' from the editor' >>\"$1\"\n")
os.chmod(editor, 0o755)
term = chat("kept openly", env={"EDITOR": editor})
before = {(folder, f) for folder, _, files in os.walk(WORK) for f in files}


def say(text, wait=r"Thought (for|briefly)"):
    seen = len(term.text())
    term.send(text)
    return term.expect(wait, since=seen)


term.send("\x15\x15")    # the first one belongs to the Esc before
t.check("/private begins a conversation that is not kept", say("/private\r", "Nothing of this chat is kept"), term.text()[-300:])
t.check("it answers", say("quizzaciously whispered\r"), term.text()[-300:])
t.check("and again", say("quizzaciously twice\r"), term.text()[-300:])
term.send("/title quizzaciously titled\r")
term.read(0.5)
term.send("\t")
term.read(0.2)
term.send("]")
term.read(0.5)
term.send("\x1b")
term.read(0.3)
t.check("a draft passes through the editor", say("quizzaciously drafted\x18\x05", "from the editor"), term.text()[-300:])
term.read(2.5)
t.equal("while it runs nothing of it is on the disk", found("quizzaciously"), [])
new = {(folder, f) for folder, _, files in os.walk(WORK) for f in files} - before
t.equal("nor is there a file more", sorted(new), [])
kept = open(f"/proc/{term.pid}/maps").read() + "".join(os.readlink(f"/proc/{term.pid}/fd/{n}") + "\n" for n in os.listdir(f"/proc/{term.pid}/fd"))
t.check("nor one that has no name", "(deleted)" not in re.sub(r"/memfd:\S* \(deleted\)|/dev/(zero|shm)\S* \(deleted\)", "", kept), [l for l in kept.splitlines() if "(deleted)" in l])
term.send("\x15")
t.check("/private off goes back to what is kept", say("/private off\r", "kept openly|[Kk]ept|saved|conversation"), term.text()[-300:])
t.check("and that is kept", say("openly again\r"), term.text()[-300:])
term.read(1.0)
term.send("\x03\x03")
t.equal("such a chat ends well", term.wait(), 0)
term.close()
t.equal("of the private one nothing is on the disk", found("quizzaciously"), [])
t.check("and of what followed all is", DB in [f.replace("-wal", "") for f in found("openly again")], found("openly again"))

# ---- what is not private ----

term = chat("wherewithal logged")
term.send("\x03\x03")
term.wait()
term.close()
t.equal("a chat's text is in the record and the input's history only", sorted({os.path.relpath(f, WORK).split("-wal")[0] for f in found("wherewithal")}),
        ["data/ponder/ponder.db", "state/ponder/history"])
number = re.search(r"c(\d+)", ponder("list").stdout.decode())
t.equal("a deleted one is gone from the record", (ponder("delete", number[1]).returncode, [f for f in found("wherewithal") if "history" not in f]) if number else None, (0, []))
t.done()
