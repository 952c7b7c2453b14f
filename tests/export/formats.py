"""Exports of a seeded record: counts, published schemas, `datasets`, and templates rendered with Jinja. Speaks TAP."""
import glob
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import seeded

os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
import jinja2
import jinja2.ext
from datasets import Features, load_dataset

PONDER = os.environ.get("PONDER", "build/ponder")
n, bad = 0, 0


def check(name, good, why=""):
    global n, bad
    n += 1
    bad += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name))
    if not good:
        print("# " + str(why)[:2000].replace("\n", "\n# "))


def ponder(*args):
    return subprocess.run([PONDER, *args], capture_output=True, text=True, check=True)


MESSAGE = {"role": str, "content": str}


def is_message(m, roles, keys=("role", "content")):
    return isinstance(m, dict) and m["role"] in roles and all(isinstance(m[k], str) for k in m) and set(m) <= set(keys)


def is_chat(ms, last):
    """Alternates, begins with an optional system message and ends with the role."""
    body = ms[1:] if ms and ms[0]["role"] == "system" else ms
    return bool(body) and all(is_message(m, ("user", "assistant", "system"), ("role", "content", "reasoning_content")) for m in ms) and body[-1]["role"] == last and \
        all(m["role"] == ("user", "assistant")[i % 2] for i, m in enumerate(body))


def trl_pairs(d):
    return set(d) == {"prompt", "chosen", "rejected"} and is_chat(d["prompt"], "user") and is_chat(d["prompt"] + d["chosen"], "assistant") and \
        is_chat(d["prompt"] + d["rejected"], "assistant") and d["chosen"] != d["rejected"]


def openai_chat(ms, last):
    return is_chat(ms, last) and all(set(m) == {"role", "content"} for m in ms)


def sharegpt(ms, last):
    body = ms[1:] if ms[0]["from"] == "system" else ms
    return all(set(m) == {"from", "value"} and isinstance(m["value"], str) for m in ms) and body[-1]["from"] == last and \
        all(m["from"] == ("human", "gpt")[i % 2] for i, m in enumerate(body))


SCHEMAS = {
    "sft": lambda d: set(d) == {"messages"} and is_chat(d["messages"], "assistant"),
    "sft-pc": lambda d: set(d) == {"prompt", "completion"} and is_chat(d["prompt"], "user") and is_chat(d["prompt"] + d["completion"], "assistant") and len(d["completion"]) == 1,
    "dpo": trl_pairs,
    "reward": lambda d: isinstance(d.pop("margin"), float) and trl_pairs(d),
    "kto": lambda d: set(d) == {"prompt", "completion", "label"} and isinstance(d["label"], bool) and is_chat(d["prompt"] + d["completion"], "assistant"),
    "stepwise": lambda d: set(d) == {"prompt", "completions", "labels"} and len(d["completions"]) == len(d["labels"]) > 0 and isinstance(d["prompt"], str)
    and all(isinstance(b, bool) for b in d["labels"]) and all(d["labels"][:-1]),
    "openai": lambda d: set(d) == {"messages"} and openai_chat(d["messages"], "assistant"),
    "openai-dpo": lambda d: set(d) == {"input", "preferred_output", "non_preferred_output"} and openai_chat(d["input"]["messages"], "user")
    and all(len(d[k]) == 1 and openai_chat(d["input"]["messages"] + d[k], "assistant") for k in ("preferred_output", "non_preferred_output")),
    "sharegpt": lambda d: set(d) == {"conversations"} and sharegpt(d["conversations"], "gpt"),
    "alpaca": lambda d: set(d) == {"instruction", "input", "output", "system", "history"} and all(len(h) == 2 for h in d["history"]),
    "llamafactory": lambda d: set(d) == {"conversations", "system"} and sharegpt(d["conversations"], "gpt"),
    "llamafactory-dpo": lambda d: set(d) == {"conversations", "chosen", "rejected", "system"} and sharegpt(d["conversations"], "human")
    and sharegpt(d["conversations"] + [d["chosen"]], "gpt") and sharegpt(d["conversations"] + [d["rejected"]], "gpt"),
    "llamafactory-kto": lambda d: set(d) == {"conversations", "kto_tag", "system"} and isinstance(d["kto_tag"], bool) and sharegpt(d["conversations"], "gpt"),
    "axolotl": lambda d: set(d) == {"messages"} and is_chat(d["messages"], "assistant"),
    "axolotl-dpo": lambda d: set(d) == {"messages", "chosen", "rejected"} and is_chat(d["messages"] + [d["chosen"]], "assistant") and is_chat(d["messages"] + [d["rejected"]], "assistant"),
    "text": lambda d: set(d) == {"text"} and isinstance(d["text"], str),
}


def render(template, messages):
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.globals["raise_exception"] = lambda m: (_ for _ in ()).throw(ValueError(m))
    env.globals["strftime_now"] = lambda f: "2026-01-15"
    env.filters["tojson"] = lambda v, **k: json.dumps(v, ensure_ascii=False)
    with open("tests/vectors/templates/%s.jinja" % template, encoding="utf-8") as f:
        return env.from_string(f.read()).render(messages=messages, bos_token="", eos_token="<eos>", add_generation_prompt=False, enable_thinking=True)


def main():
    work = tempfile.mkdtemp()
    db = os.path.join(work, "r.db")
    open(db, "w").close()
    subprocess.run([PONDER, "rate", "m1", "--answer", "up", "--db", db], capture_output=True)
    replies, votes = seeded.fill(db)
    want = seeded.expected(replies, votes)
    good = seeded.open_ways(replies)
    for name, schema in SCHEMAS.items():
        folder = os.path.join(work, name)
        ponder("export", "--db", db, "--format", name, "-o", folder)
        data = [d for f in ("train", "valid", "test") for d in seeded.lines("%s/%s.jsonl" % (folder, f))]
        manifest = json.load(open(folder + "/manifest.json"))
        odd = [d for d in data if not schema(json.loads(json.dumps(d)))]
        check("%s: %d records follow the schema" % (name, len(data)), data and not odd, odd[:2])
        if name in want:
            check("%s: as many as expected" % name, len(data) == want[name] == manifest["counts"]["records"], (len(data), want[name], manifest["counts"]))
        loaded = load_dataset("json", data_files={os.path.basename(f)[:-6]: f for f in glob.glob(folder + "/*.jsonl") if os.path.getsize(f)}, cache_dir=work + "/cache")
        check("%s: datasets reads it, with the same columns everywhere" % name, sum(len(d) for d in loaded.values()) == len(data) and
              len({tuple(sorted(d.column_names)) for d in loaded.values()}) == 1)
        again = os.path.join(work, name + "-again.jsonl")
        ponder("export", "--db", db, "--format", name, "-o", again)
        text = open(again, encoding="utf-8").read()
        check("%s: one file says the same" % name, sorted(text.splitlines()) == sorted(l for f in glob.glob(folder + "/*.jsonl") for l in open(f, encoding="utf-8").read().splitlines()))
    card = load_dataset(work + "/sft", cache_dir=work + "/cache")
    check("a folder loads by its data card", set(card) == {"train", "validation", "test"}, set(card))
    splits = {}
    for f in ("train", "valid", "test"):
        for d in seeded.lines("%s/sft/%s.jsonl" % (work, f)):
            splits.setdefault(d["messages"][0]["content"].split()[1], set()).add(f)
    check("a conversation is in one split", all(len(s) == 1 for s in splits.values()))
    text = open(work + "/sft-pc/train.jsonl").read() + open(work + "/sft-pc/valid.jsonl").read() + open(work + "/sft-pc/test.jsonl").read()
    check("nothing that was rated down is in it", not [r for r in replies if (not good[r.id]) and ('"completion":[{"role":"assistant","content":"%s"' % r.answer) in text])
    check("nor a thought that was", not [r for r in replies if r.thought_rating < 0 and r.thought.split(".")[0] + "." in text])
    shown = {r[0] for r in __import__("sqlite3").connect(db).execute("SELECT id FROM messages WHERE active = 1")}
    one = [r for r in replies if good[r.id] and r.thinks and r.thought_rating >= 0][0]
    for template, form, kept in (("qwen3", "field", True), ("qwen3", "inline", True), ("qwen3", "strip", False), ("smollm2", "field", False), ("smollm2", "inline", True),
                                 ("deepseek-r1-distill-qwen", "field", False), ("deepseek-r1-distill-qwen", "inline", False)):
        out = ponder("export", "--db", db, "--format", "sft-pc", "--reasoning", form, "--template", template, "-o", "-")
        d = [json.loads(l) for l in out.stdout.splitlines() if json.loads(l)["completion"][0]["content"].endswith(one.answer)][0]
        there = one.thought in render(template, d["prompt"] + d["completion"])
        told = "leaves thoughts given as" in out.stderr
        check("%s as %s: the thought is %s, and it is %s" % (template, form, "kept" if kept else "lost", "not told" if kept or form == "strip" else "told"),
              there == kept and told == (not kept and form != "strip"), (there, told, out.stderr))
    mirror = os.path.join(work, "mirror.db")
    ponder("export", "--db", db, "--format", "json", "-o", work + "/all.json")
    kept = json.load(open(work + "/all.json", encoding="utf-8"))["conversations"]
    check("json: every conversation, every reply", len(kept) == 500 and sum(m["role"] == "assistant" for c in kept for m in c["messages"]) == len(replies))
    for name in ("markdown", "html"):
        page = ponder("export", "--db", db, "--format", name, "-o", "-").stdout
        check(name + ": the branch that is shown of every conversation", all("question c%d t0" % c in page for c in range(500)) and
              all((r.answer in page) == (r.id in shown) for r in replies))
    ponder("import", "--db", mirror, work + "/all.json")
    for name in ("sft", "kto", "dpo", "stepwise"):
        a, b = ponder("export", "--db", db, "--format", name, "-o", "-").stdout, ponder("export", "--db", mirror, "--format", name, "-o", "-").stdout
        check("%s of an imported export is the same" % name, a == b and a)
    print("1..%d" % n)
    subprocess.run(["rm", "-rf", work])
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
