#!/usr/bin/env python3
"""Promise 10: old records open, newer ones are refused untouched, damaged ones are set aside and salvaged."""
import hashlib
import os
import random
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from world import DB, ENDLESS, PONDER, ROOT, WORK, Tap, ask, new_model, ponder, rows

t = Tap()
model = new_model()
rng = random.Random(int(os.environ.get("SEED", "4")))

# a record with something in it
for i in range(12):
    ask(model, "--budget", "60", "--answer-max", "60", *(["--continue"] if i % 3 else []), f"question {i}")

# ---- versions ----
old = WORK + "/old.db"
with open(ROOT + "/tests/vectors/record-v1.db", "rb") as f, open(old, "wb") as to:
    to.write(f.read())
before = rows("SELECT id, text, thought FROM messages ORDER BY id", old)
t.equal("a record of version 1 opens", ponder("list", "--db", old).returncode, 0)
t.equal("with all its texts", rows("SELECT id, text, thought FROM messages ORDER BY id", old), before)
newer = WORK + "/newer.db"
with sqlite3.connect(newer) as c:
    c.executescript("PRAGMA application_id = 1886350948; PRAGMA user_version = 9999; CREATE TABLE t(x)")
digest = hashlib.sha256(open(newer, "rb").read()).hexdigest()
done = ponder("list", "--db", newer)
t.check("a newer one is refused", done.returncode == 3 and b"newer" in done.stderr, done)
t.equal("and untouched", hashlib.sha256(open(newer, "rb").read()).hexdigest(), digest)

# ---- salvage ----
prompts = {r[0] for r in rows("SELECT text FROM messages WHERE role = 'user'")}
with sqlite3.connect(DB) as c:
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
good = open(DB, "rb").read()
size = 4096
with sqlite3.connect(DB) as c:
    # without the pages that say where the tables are, nothing is readable: then the file is set aside, and that is all
    roots = {r[0] - 1 for r in c.execute("SELECT rootpage FROM sqlite_schema UNION SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")}
others = [p for p in range(1, len(good) // size) if p not in roots]
kinds = {"a page in the middle": others[len(others) // 2:len(others) // 2 + 1], "every third page but the roots": others[::3], "its end": others[len(others) * 3 // 4:]}
for name, pages in kinds.items():
    db = WORK + "/" + name.replace(" ", "-") + ".db"
    data = bytearray(good)
    for page in pages:
        data[page * size:(page + 1) * size] = bytes(rng.randrange(256) for _ in range(size))
    open(db, "wb").write(data)
    os.chmod(db, 0o600)
    done = ponder("check", "--salvage", "--db", db)
    t.check(f"{name} damaged: salvaged with a report", done.returncode == 0 and b"messages: " in done.stdout and b"rows saved" in done.stdout, done)
    t.equal(f"{name} damaged: the new record is whole", ponder("check", "--db", db).stdout, b"the record is whole\n")
    saved = {r[0] for r in rows("SELECT text FROM messages WHERE role = 'user'", db)}
    t.check(f"{name} damaged: most prompts are there ({len(saved & prompts)} of {len(prompts)})", len(saved & prompts) * 4 >= len(prompts) or len(saved & prompts) >= 5, saved ^ prompts)
    aside = [f for f in os.listdir(WORK) if f.startswith(os.path.basename(db) + ".damaged-") and not f.endswith(("-wal", "-shm"))]
    t.check(f"{name} damaged: the file is set aside as it was", len(aside) == 1 and open(f"{WORK}/{aside[0]}", "rb").read() == bytes(data), aside)
db = WORK + "/noise.db"
open(db, "wb").write(bytes(rng.randrange(256) for _ in range(9000)))
done = ponder("list", "--db", db)
t.check("noise is refused, and the way out named", done.returncode == 3 and b"check --salvage" in done.stderr and done.stderr.count(b"\n") == 1, done)
done = ponder("check", "--salvage", "--db", db)
t.check("and set aside", done.returncode == 0 and b"0 rows saved" in done.stdout, done)
p = subprocess.Popen([PONDER, "ask", "-m", model, "-t", "1", "--json", "-c", "4096", *ENDLESS, "busy"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
p.stdout.readline()
done = ponder("check", "--salvage")
t.check("a record that is open is not moved", done.returncode == 1 and b"another program" in done.stderr and os.path.exists(DB), done)
p.kill()
p.wait()
p.stdout.close()
t.done()
