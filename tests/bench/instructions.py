#!/usr/bin/env python3
"""Instructions a token by function, counted by callgrind: a Markdown table of decode, or of the prompt pass.

usage: instructions.py PONDER MODEL decode|prefill [--tokens N] [--depth D] [--family avx2|scalar]
One thread, and no AVX-512 or AMX kernels: valgrind does not know their instructions. What the functions call counts for those themselves."""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"^\s*([\d,]+) \(\s*[\d.]+%\)\s+(.*?):([^\s:\[]+)( \[.*)?$")
LEAST = 0.005      # functions below this share go together


def count(a, out):
    """Collects while the entry function runs; --repeat 1 and no warm-up in it make the tokens countable."""
    decode = a.what == "decode"
    size = ["--pp", "0", "--tg", str(a.tokens), "--depth", str(a.depth)] if decode else ["--pp", str(a.tokens), "--tg", "0"]
    argv = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={'session_decode' if decode else 'session_sync'}",
            a.ponder, "bench", "-m", a.model, "--threads", "1", *size, "--repeat", "1", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env=dict(os.environ, PONDER_KERNELS=a.family))
    if done.returncode:
        sys.exit(f"valgrind: exit {done.returncode}: {done.stderr.strip()[-400:]}")
    return subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", out], capture_output=True, text=True, check=True).stdout


def by_function(listing):
    sums = collections.Counter()
    for line in listing.splitlines():
        m = LINE.match(line)
        if m and m.group(3) != "TOTALS":
            sums[m.group(3)] += int(m.group(1).replace(",", ""))
    return sums


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("ponder")
    p.add_argument("model")
    p.add_argument("what", choices=("decode", "prefill"))
    p.add_argument("--tokens", type=int)
    p.add_argument("--depth", type=int, default=0)
    p.add_argument("--family", default="avx2", choices=("avx2", "scalar"))
    a = p.parse_args()
    a.tokens = a.tokens or (4 if a.what == "decode" else 64)
    with tempfile.TemporaryDirectory() as folder:
        sums = by_function(count(a, os.path.join(folder, "out")))
    if not sums:
        sys.exit("callgrind counted nothing")
    # bench warms up with a token of its own
    tokens = a.tokens + (a.what == "decode")
    total = sum(sums.values())
    rest = sum(n for n in sums.values() if n < LEAST * total)
    print(f"{os.path.basename(a.model)}, {a.what} of {a.tokens} tokens{f' at depth {a.depth}' if a.depth else ''}, {a.family} kernels, one thread: "
          f"{total / tokens / 1e6:.2f} million instructions a token\n\n| function | thousands a token | share |\n|---|---:|---:|")
    for name, n in sums.most_common():
        if n >= LEAST * total:
            print(f"| `{name}` | {n / tokens / 1e3:,.0f} | {100 * n / total:.1f} % |")
    print(f"| others | {rest / tokens / 1e3:,.0f} | {100 * rest / total:.1f} % |")


if __name__ == "__main__":
    main()
