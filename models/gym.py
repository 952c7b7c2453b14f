#!/usr/bin/env python3
"""Questions of reasoning-gym 0.1.25, and its own judgement of replies.

    gym.py record [-n N] > reasoning-gym.jsonl     N items of each data set: question, answer, how `ponder` checks it
    gym.py score REPLIES.jsonl                     what `ponder eval --replies` wrote, scored by score_answer of the package

Needs `pip install reasoning-gym==0.1.25`. Data sets are as the package makes them but for what CONFIG says; seeds are fixed."""
import json
import re
import sys

import reasoning_gym

SEED = 7001
# sizes that the goals name; all others are the package's own
SMALL = {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2}
CONFIG = {
    "chain_sum": SMALL,
    "basic_arithmetic": SMALL,
    "products": SMALL,
    "leg_counting": {},
    "number_sorting": {},
    "letter_counting": {},
    "spell_backward": {"min_word_len": 3, "max_word_len": 5},
    "simple_equations": {},
    "gcd": {},
    "lcm": {},
    "fraction_simplification": {},
    "base_conversion": {"max_value": 200},
    "count_bits": {},
    "calendar_arithmetic": {},
}
CHECKS = {"number_sorting": "list", "spell_backward": "letters", "fraction_simplification": "fraction", "base_conversion": "digits"}


def check_of(name, answer):
    if name == "calendar_arithmetic" and not re.fullmatch(r"-?\d+", answer):
        return "word"
    return CHECKS.get(name, "number")


def plain(name, answer):
    """An answer as `ponder` compares it: without the style it is set in."""
    fraction = re.search(r"frac\{(\d+)\}\{(\d+)\}", answer)
    if fraction:
        return "/".join(fraction.groups())
    return answer.strip("$") if name == "fraction_simplification" else answer


def record(n):
    for name, config in CONFIG.items():
        data = reasoning_gym.create_dataset(name, size=n, seed=SEED, **config)
        for i, item in enumerate(data):
            answer = plain(name, str(item["answer"]))
            check = check_of(name, answer)
            # what we record as right is right for the package, in the form that `score` gives it
            given = given_to(check, answer, item["question"])
            assert data.score_answer(given, item) == 1.0, (name, item["question"], given)
            print(json.dumps({"question": item["question"], "answer": answer, "check": check, "family": name, "index": i}))


def given_to(check, text, question):
    """The answer in a reply, as the package wants to have it: the answer alone, numbers of a list as strings."""
    lines = [l for l in text.strip().splitlines() if l.strip()]
    last = lines[-1] if lines else ""
    told = re.findall(r"(?:answer is|answer:|####)\s*:?\s*(.+)", text, re.I)
    last = (told[-1] if told else last).strip().strip("*")
    if check == "list":
        # numbers as the question writes them
        return str([n for n in re.findall(r"-?\d+(?:\.\d+)?", last)])
    if check == "number":
        found = re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?", last)
        return found[-1].replace(",", "") if found else last
    if check == "fraction":
        found = re.findall(r"\\d?frac\{\d+\}\{\d+\}|\d+\s*/\s*\d+", last)
        return found[-1] if found else last
    if check == "word":
        days = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Yes|No"
        found = re.findall(days, last, re.I)
        return found[-1].title() if found else last
    words = re.findall(r"[A-Za-z0-9]+", last)
    return words[-1] if words else last


def score(path):
    items, sums = {}, {}
    for name, config in CONFIG.items():
        data = reasoning_gym.create_dataset(name, size=500, seed=SEED, **config)
        items.update({item["question"]: (name, data, item) for item in data})
    for line in open(path, encoding="utf-8"):
        r = json.loads(line)
        if r["question"] not in items or r["voice"]:
            continue
        name, data, item = items[r["question"]]
        check = check_of(name, plain(name, str(item["answer"])))
        v = data.score_answer(given_to(check, r["reply"], r["question"]), item)
        s = sums.setdefault((r["run"], r["budget"], name), [0, 0, 0, 0])
        s[0] += 1
        s[1] += v
        s[2] += v == 1.0
        s[3] += r["right"]
    print("run,budget,data set,items,mean score,full score,right for ponder")
    for (run, budget, name), (n, total, full, right) in sorted(sums.items()):
        print(f"{run},{budget},{name},{n},{total / n:.3f},{full / n:.3f},{right / n:.3f}")
    for run, budget in sorted({k[:2] for k in sums}):
        rows = [v for k, v in sums.items() if k[:2] == (run, budget)]
        print(f"{run},{budget},mean,{sum(v[0] for v in rows)},{sum(v[1] / v[0] for v in rows) / len(rows):.3f},"
              f"{sum(v[2] / v[0] for v in rows) / len(rows):.3f},{sum(v[3] / v[0] for v in rows) / len(rows):.3f}")


if len(sys.argv) > 1 and sys.argv[1] == "record":
    record(int(sys.argv[sys.argv.index("-n") + 1]) if "-n" in sys.argv else 6)
elif len(sys.argv) > 2 and sys.argv[1] == "score":
    score(sys.argv[2])
else:
    sys.exit(__doc__)
