"""A record of 500 conversations with known ratings and every kind of ending, and what exports of it must hold.

Each conversation has its own marker words, so that every text that an export holds tells where it came from. What is expected is worked out
here from the list of replies alone, without looking at how the program does it.
"""
import json
import random
import sqlite3

THOUGHT_ENDINGS = ["none", "natural", "answer_now", "budget_soft", "budget_hard", "loop", "stopped", "context_full", "interrupted", "error"]
ANSWER_ENDINGS = ["complete", "length", "stopped", "context_full", "interrupted", "error"]
GOOD_THOUGHT = {"none", "natural", "answer_now", "budget_soft", "budget_hard"}
TIME = 1768469400000


class Reply:
    def __init__(self, **k):
        self.__dict__.update(k)

    def usable(self):
        return self.ended in GOOD_THOUGHT and self.answer_ended == "complete" and not self.said

    def learnable(self):
        return self.usable() and self.rating >= 0


def fill(path, n=500, seed=7):
    """Fills the empty record at path; returns the replies in the order of their ids."""
    rng = random.Random(seed)
    db = sqlite3.connect(path)
    replies = []
    for c in range(n):
        conv = db.execute("INSERT INTO conversations(title, created_ms, updated_ms) VALUES(?, ?, ?)", ("c%d" % c, TIME + c, TIME + c)).lastrowid
        parent, above = None, None
        for turn in range(rng.choice([1, 1, 2, 3])):
            prompt = db.execute("INSERT INTO messages(conversation, parent, role, active, created_ms, text) VALUES(?, ?, 'user', 1, ?, ?)",
                                (conv, parent, TIME + c, "question c%d t%d" % (c, turn))).lastrowid
            first = None
            for k in range(rng.choice([1, 1, 2])):
                thinks = rng.random() < 0.7
                ended = rng.choice(THOUGHT_ENDINGS[1:]) if thinks and rng.random() < 0.4 else "natural" if thinks else "none"
                answer_ended = rng.choice(ANSWER_ENDINGS) if rng.random() < 0.2 else "complete"
                r = Reply(conversation=conv, prompt=prompt, above=above, ended=ended, answer_ended=answer_ended, rating=rng.choice([-1, 0, 0, 1]),
                          thought_rating=rng.choice([-1, 0, 0, 1]) if thinks else 0, said=thinks and rng.random() < 0.05, thinks=thinks)
                mark = "c%dt%dk%d" % (c, turn, k)
                r.thought = "First %s.\n\nThen %s." % (mark, mark) if thinks else ""
                r.answer = "answer " + mark
                r.id = db.execute("INSERT INTO messages(conversation, parent, role, active, created_ms, text, thought) VALUES(?, ?, 'assistant', ?, ?, ?, ?)",
                                  (conv, prompt, int(k == 0), TIME + c, r.answer, r.thought)).lastrowid
                db.execute("INSERT INTO replies(message, model, family, system, seed, ended, answer_ended, thought_tokens) VALUES(?, 'Tiny', 'qwen3', '', 1, ?, ?, ?)",
                           (r.id, ended, answer_ended, 10 * thinks))
                for part, value in (("answer", r.rating), ("thought", r.thought_rating)):
                    if value:
                        db.execute("INSERT INTO ratings(message, part, value, rated_ms) VALUES(?, ?, ?, ?)", (r.id, part, value, TIME))
                if r.said:
                    db.execute("INSERT INTO spans(message, position, byte_offset, byte_length, kind, author) VALUES(?, 1, 0, 5, 'say', 'user')", (r.id,))
                r.steps = []
                if thinks and rng.random() < 0.2:
                    for step, (offset, length) in enumerate([(0, len("First %s." % mark)), (len("First %s.\n\n" % mark), len("Then %s." % mark))], 1):
                        value = rng.choice([-1, 0, 1])
                        db.execute("INSERT INTO steps VALUES(?, ?, 'paragraph', ?, ?, ?, ?)", (r.id, step, offset, length, value, TIME))
                        r.steps.append(value)
                        if value < 0:
                            break
                replies.append(r)
                if first is None:
                    first = r
            parent, above = first.id, first
        db.execute("UPDATE conversations SET leaf = ? WHERE id = ?", (parent, conv))
    by_prompt = {}
    for r in replies:
        by_prompt.setdefault(r.prompt, []).append(r)
    votes = {}
    for group in by_prompt.values():
        if len(group) == 2 and rng.random() < 0.5:
            verdict = rng.choice(["a", "b", "tie", "both_bad", "skip"])
            strength = rng.choice([1, 2, 3]) if verdict in "ab" else None
            a, b = group if rng.random() < 0.5 else group[::-1]
            db.execute("INSERT INTO votes(a, b, verdict, strength, voted_ms) VALUES(?, ?, ?, ?, ?)", (a.id, b.id, verdict, strength, TIME))
            votes[(min(a.id, b.id), max(a.id, b.id))] = (a, b, verdict, strength)
    db.execute("INSERT INTO message_index(message_index) VALUES('rebuild')")
    db.commit()
    db.close()
    return replies, votes


def open_ways(replies):
    """Replies whose whole way down may be learnt from."""
    good = {}
    for r in replies:
        good[r.id] = r.learnable() and (r.above is None or good[r.above.id])
    return good


def expected(replies, votes):
    good = open_ways(replies)
    above = {r.above.id for r in replies if r.above and good[r.id]}
    out = {"sft": sum(good[r.id] and r.id not in above for r in replies), "sft-pc": sum(good.values())}
    pairs = thoughtless = 0    # a thought that was rated down keeps no pair out of an export that holds no thoughts
    for a, b, verdict, strength in votes.values():
        if verdict in ("a", "b"):
            chosen, rejected = (a, b) if verdict == "a" else (b, a)
            both = chosen.usable() and rejected.usable()
            thoughtless += both
            pairs += both and chosen.thought_rating >= 0
    voted = {k for k, v in votes.items() if v[2] != "skip"}
    by_prompt = {}
    for r in replies:
        by_prompt.setdefault(r.prompt, []).append(r)
    for group in by_prompt.values():
        for up in group:
            for down in group:
                if up.rating > 0 > down.rating and (min(up.id, down.id), max(up.id, down.id)) not in voted:
                    both = up.usable() and down.usable()
                    thoughtless += both
                    pairs += both and up.thought_rating >= 0
    out["dpo"] = out["reward"] = pairs
    out["openai-dpo"] = thoughtless
    both_bad = {r.id for a, b, v, _ in votes.values() if v == "both_bad" for r in (a, b)}
    out["kto"] = sum(r.usable() and (r.rating != 0 or r.id in both_bad) for r in replies)
    out["stepwise"] = sum(r.usable() and bool(r.steps) for r in replies)
    # the same records in other clothes: every text has its own marker, so that none becomes equal to another without its thought
    for name, like in (("openai", "sft"), ("sharegpt", "sft"), ("alpaca", "sft"), ("llamafactory", "sft"), ("axolotl", "sft"), ("text", "sft"),
                       ("llamafactory-dpo", "dpo"), ("axolotl-dpo", "dpo"), ("llamafactory-kto", "kto")):
        out[name] = out[like]
    return out


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]
