#!/usr/bin/env python3
"""How far a program's log-probabilities are from exact arithmetic: the mean KL divergence, in nats, for each text of a file of
vectors (tests/vectors/README.md).

usage: kld.py VECTORS.jsonl.gz PROGRAM [ARGUMENT]...
The program reads a line of token ids a text and prints what `ponder inspect logits` prints: a JSON line a text, for every position a list
of [id, log-probability], best first. Exit code 1 where a text is farther from exact arithmetic than llama.cpp was, 2 where what came are
no log-probabilities.

The divergence is taken over the reference's best tokens and one bucket for all others. The first position is left out: what all models
pile up there (the attention sink) is huge and says nothing about a reply."""
import gzip
import json
import math
import subprocess
import sys

TOP = 320           # how many tokens a program should name at each position: all of the reference's are among them
LEAST_REST = 1e-6   # no bucket is held to be smaller than what the sums of the listed tokens leave to rounding


class NoLogprobs(Exception):
    pass


def read_vectors(path):
    with gzip.open(path, "rt") as f:
        return [json.loads(line) for line in f]


def check_position(got, where):
    if len(dict(map(tuple, got))) != len(got):
        raise NoLogprobs(f"{where}: an id twice")
    if any(lp is None for _, lp in got) or sum(math.exp(lp) for _, lp in got) > 1.001:
        raise NoLogprobs(f"{where}: probabilities that do not add up")


def position_kld(want, got):
    q = dict(map(tuple, got))
    least = min(q.values())
    kld, p_rest, q_rest = 0.0, 1.0, 1.0
    for token, lp in want:
        lq = q.get(token, least)
        kld += math.exp(lp) * (lp - lq)
        p_rest -= math.exp(lp)
        q_rest -= math.exp(lq)
    if p_rest > LEAST_REST:
        kld += p_rest * math.log(p_rest / max(q_rest, LEAST_REST))
    return kld


def text_kld(record, positions, name):
    """(mean KLD, share of positions with the same best token) of a text."""
    if len(positions) != len(record["ids"]):
        raise NoLogprobs(f"{name}: {len(positions)} positions for {len(record['ids'])} tokens")
    sum_kld = same = 0
    for i in range(1, len(positions)):
        check_position(positions[i], f"{name}, position {i}")
        sum_kld += position_kld(record["top"][i], positions[i])
        same += positions[i][0][0] == record["top"][i][0][0]
    n = len(positions) - 1
    return sum_kld / n, same / n


def measure(records, argv, env=None):
    """[(mean KLD, share of same best tokens)], one a text."""
    lines = "".join(" ".join(map(str, r["ids"])) + "\n" for r in records)
    run = subprocess.run(argv, input=lines, capture_output=True, text=True, env=env)
    out = run.stdout.splitlines()
    if run.returncode or len(out) != len(records):
        raise NoLogprobs(f"exit {run.returncode}, {len(out)} lines for {len(records)} texts: {run.stderr.strip()[-300:]}")
    return [text_kld(r, json.loads(line), f"text {i}") for i, (r, line) in enumerate(zip(records, out))]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    records = read_vectors(sys.argv[1])
    try:
        found = measure(records, sys.argv[2:])
    except NoLogprobs as e:
        print(f"not log-probabilities: {e}", file=sys.stderr)
        return 2
    worse = 0
    for i, (record, (kld, same)) in enumerate(zip(records, found)):
        limit = record["llama_cpp_kld_after_first"]
        worse += not -1e-5 <= kld <= limit
        print(f"text {i}: {len(record['ids'])} tokens, mean KLD {kld:.2e} (llama.cpp {limit:.2e}), "
              f"same best token {same:.3f} (llama.cpp {record['llama_cpp_top1']:.3f})")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
