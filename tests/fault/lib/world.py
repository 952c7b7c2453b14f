"""What the tests of this folder stand on: a home of their own, the program, tiny models, TAP."""
import atexit
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
sys.dont_write_bytecode = True
import tiny  # noqa: E402
from terminal import Tap, Terminal  # noqa: E402,F401

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PONDER = os.path.abspath(os.environ.get("PONDER", os.path.join(ROOT, "build/ponder")))
LONG = bool(os.environ.get("PONDER_LONG"))
with open(PONDER, "rb") as _f:
    SANITIZED = bool(re.search(rb"__[at]san_init", _f.read()))
ENDLESS = ["--budget", "unlimited", "--think-min", "100000", "--no-loop-guard"]    # with a long context, no reply comes to its end by itself
WORK = tempfile.mkdtemp(prefix="ponder-fault-")
atexit.register(shutil.rmtree, WORK, ignore_errors=True)
for name in [n for n in os.environ if n.startswith("PONDER_") or n in ("NO_COLOR", "TMUX", "VISUAL", "EDITOR", "COLORTERM")]:
    del os.environ[name]
os.environ.update(HOME=WORK, XDG_DATA_HOME=WORK + "/data", XDG_CONFIG_HOME=WORK + "/config", XDG_STATE_HOME=WORK + "/state",
                  XDG_CACHE_HOME=WORK + "/cache", LC_ALL="C.UTF-8", TERM="xterm-256color", INPUTRC="/dev/null")
DB = WORK + "/data/ponder/ponder.db"


def new_model(name="tiny.gguf", **how):
    path = os.path.join(WORK, name)
    with open(path, "wb") as f:
        f.write(tiny.model(**how))
    return path


def ponder(*args, stdin=b"", env=None, timeout=120, **how):
    return subprocess.run([PONDER, *args], input=stdin, capture_output=True, timeout=timeout, env={**os.environ, **(env or {})}, check=False, **how)


def ask(model, *args, **how):
    return ponder("ask", "-m", model, "--seed", "1", "-t", "2", "--no-loop-guard", *args, **how)


def traces():
    """whether strace is here and lets itself be used"""
    return bool(shutil.which("strace")) and subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


def rows(sql, db=None, *values):
    with sqlite3.connect(f"file:{db or DB}?mode=ro", uri=True) as c:
        return c.execute(sql, values).fetchall()
