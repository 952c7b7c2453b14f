#!/usr/bin/env python3
"""Branches taken by the tests, by folder, from the counters that a build with --coverage left: python3 tests/coverage.py BUILD. Exit 1 where one is below its share."""
import collections
import json
import os
import subprocess
import sys

build = sys.argv[1]
WANTED = {"base": 90, "store": 90, "GGUF reader": 90}
done = subprocess.run(["gcovr", "--root", ".", "--object-directory", os.path.join(build, "obj"), "--filter", "src/", "--exclude-throw-branches", "--exclude-unreachable-branches", "--json", "-", os.path.join(build, "obj")],
                      capture_output=True, check=False)
if done.returncode:
    sys.exit(done.stderr.decode())
sums = collections.defaultdict(lambda: [0, 0, 0, 0])
files = {}
for f in json.loads(done.stdout)["files"]:
    name = f["file"]
    part = "GGUF reader" if name.startswith("src/model/gguf") else name.split("/")[1]
    one = [0, 0, 0, 0]
    for line in f["lines"]:
        if line.get("gcovr/noncode"):
            continue
        one[0] += line["count"] > 0
        one[1] += 1
        one[2] += sum(b["count"] > 0 for b in line["branches"])
        one[3] += len(line["branches"])
    files[name] = one
    for i in range(4):
        sums[part][i] += one[i]
short = False
print(f"{'':14} {'lines':>7} {'branches':>9} {'wanted':>7}")
for part, (l, lines, b, branches) in sorted(sums.items()):
    wanted = WANTED.get(part, 75)
    share = 100.0 * b / branches if branches else 100.0
    bad = share < wanted
    short |= bad
    print(f"{part:14} {100.0 * l / lines:6.1f}% {share:8.1f}% {wanted:6}%{'  SHORT' if bad else ''}")
if os.environ.get("COVERAGE_FILES"):
    for name, (l, lines, b, branches) in sorted(files.items(), key=lambda x: x[1][2] - x[1][3]):
        print(f"{branches - b:5} branches not taken of {branches:5}  {name}")
sys.exit(short)
