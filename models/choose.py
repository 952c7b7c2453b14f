#!/usr/bin/env python3
"""Training data out of replies that `ponder eval --replies` wrote.

    choose.py keep  REPLIES.jsonl... > sft.jsonl     right replies: of each question up to two, short and different, thoughts that ended by themselves
    choose.py pairs REPLIES.jsonl... > dpo.jsonl     a short right reply over a wrong one, or over a right one twice as long"""
import json
import random
import re
import sys
from collections import defaultdict

KEEP = 2


def load(paths):
    """Replies by question, in the order of the files, each once."""
    questions = defaultdict(dict)
    for path in paths:
        for line in open(path, encoding="utf-8"):
            r = json.loads(line)
            if r["thought"].strip() and r["reply"].strip():
                questions[r["question"]].setdefault((r["thought"], r["reply"]), r)
    return {q: list(rs.values()) for q, rs in questions.items()}


def good(r):
    return r["right"] and r["ended"] == "natural"


def path_of(r):
    """What makes two ways the same: their numbers and signs."""
    return "".join(re.findall(r"[-+*/=]|\d+", r["thought"]))


def message(r):
    return {"role": "assistant", "reasoning_content": r["thought"].strip(), "content": r["reply"].strip()}


def keep(questions):
    for q, replies in questions.items():
        ways = {}
        for r in sorted(filter(good, replies), key=lambda r: r["thought_tokens"]):
            ways.setdefault(path_of(r), r)
        for r in list(ways.values())[:KEEP]:
            print(json.dumps({"messages": [{"role": "user", "content": q}, message(r)], "answer": r["answer"], "family": r["family"]}))


def pairs(questions):
    pick = random.Random(1)
    for q, replies in questions.items():
        right = sorted(filter(good, replies), key=lambda r: r["thought_tokens"])
        if not right:
            continue
        worse = [r for r in replies if not r["right"]] or [r for r in right if r["thought_tokens"] > 2 * right[0]["thought_tokens"]]
        if worse:
            print(json.dumps({"prompt": [{"role": "user", "content": q}], "chosen": [message(right[0])], "rejected": [message(pick.choice(worse))]}))


if len(sys.argv) < 3 or sys.argv[1] not in ("keep", "pairs"):
    sys.exit(__doc__)
{"keep": keep, "pairs": pairs}[sys.argv[1]](load(sys.argv[2:]))
