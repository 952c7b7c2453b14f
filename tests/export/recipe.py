"""The training recipe of README.md, run as it is printed: its shell lines, its train.py, on a record of 60 conversations. Speaks TAP.

The model that it names is a tiny one with random weights here, in a folder of that name; the tokenizer has Qwen3's template.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import trl

import seeded
import trl_labels

n = 0
failed = False


def check(name, good, why=""):
    global n, failed
    n += 1
    failed |= not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name), flush=True)
    if not good:
        print("# " + str(why)[-3000:].replace("\n", "\n# "))


def main():
    ponder = os.path.abspath(os.environ.get("PONDER", "build/ponder"))
    readme = open("README.md", encoding="utf-8").read()
    code = re.search(r"```python\n(.*?)```", readme, re.S).group(1)
    lines = [l for block in re.findall(r"```sh\n(.*?)```", readme, re.S) for l in block.splitlines() if "train.py" in l]
    check("README has a line for each kind of training", len(lines) == 3, lines)
    work = tempfile.mkdtemp()
    tok = trl_labels.tokenizer("deepseek-r1-qwen-vocab", "qwen3")
    tok.chat_template = open(os.path.join(os.path.dirname(trl.__file__), "chat_templates", "qwen3.jinja"), encoding="utf-8").read()
    model = os.path.join(work, re.search(r'model="([^"]+)"', code).group(1))
    tok.save_pretrained(model)
    trl_labels.tiny(tok).save_pretrained(model)
    os.makedirs(work + "/bin")
    os.makedirs(work + "/data/ponder", mode=0o700)
    os.symlink(ponder, work + "/bin/ponder")
    # a link would lose its venv
    with open(work + "/bin/python", "w") as f:
        f.write('#!/bin/sh\nexec "%s" "$@"\n' % sys.executable)
    os.chmod(work + "/bin/python", 0o755)
    with open(work + "/train.py", "w") as f:
        f.write(code)
    env = dict(os.environ, PATH=work + "/bin:" + os.environ["PATH"], XDG_DATA_HOME=work + "/data", XDG_CONFIG_HOME=work + "/config", HF_HOME=work + "/hf",
               HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    db = work + "/data/ponder/ponder.db"
    open(db, "w").close()
    subprocess.run([ponder, "rate", "m1", "--answer", "up", "--db", db], capture_output=True)
    seeded.fill(db, n=60)
    for line in lines:
        p = subprocess.run(["sh", "-ec", line], cwd=work, env=env, capture_output=True, text=True)
        kind = line.split()[-2]
        check(line, p.returncode == 0, p.stdout + p.stderr)
        check("%s: a model was written" % kind, os.path.exists("%s/out-%s/model.safetensors" % (work, kind)), os.listdir(work))
        logs = [json.load(open(os.path.join(d, "trainer_state.json")))["log_history"] for d, _, f in os.walk("%s/out-%s" % (work, kind)) if "trainer_state.json" in f]
        check("%s: it was trained, with a loss that is a number" % kind, logs and all(l.get("train_loss", 0) == l.get("train_loss", 0) for h in logs for l in h), logs)
    print("1..%d" % n)
    subprocess.run(["rm", "-rf", work])
    return failed


if __name__ == "__main__":
    sys.exit(main())
