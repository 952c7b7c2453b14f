#!/usr/bin/env python3
"""Right answers by budget, out of the tables of `ponder eval -o`, as a picture: curve.py TABLE.csv... > curve.svg

Tables of several levels are added up. Means over the families, as in the table that eval prints; sets of other makers ("SET: NAME") are left out."""
import collections
import csv
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 56, 24, 24, 48


def means(paths):
    """{run: {budget: per cent}}, budgets in their order, of single greedy replies."""
    sums = collections.defaultdict(lambda: [0, 0])
    for path in paths:
        for r in csv.DictReader(open(path, encoding="utf-8")):
            if r["votes"] == "1" and " at " not in r["budget"] and ":" not in r["family"]:
                s = sums[r["run"], r["budget"], r["family"]]
                s[0] += int(r["correct"])
                s[1] += int(r["questions"])
    out = {}
    for (run, budget, _), (right, n) in sums.items():
        out.setdefault(run, {}).setdefault(budget, []).append(100 * right / n)
    return {run: {b: sum(v) / len(v) for b, v in of.items()} for run, of in out.items()}


def picture(curves):
    budgets = list(curves["adapter"])
    x = {b: LEFT + i * (WIDTH - LEFT - RIGHT) / max(len(budgets) - 1, 1) for i, b in enumerate(budgets)}

    def y(v):
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - v / 100)

    text = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">' % (WIDTH, HEIGHT),
            '<rect width="100%" height="100%" fill="#ffffff"/>']
    for v in range(0, 101, 20):
        text.append('<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555555">%d %%</text>'
                    % (LEFT, y(v), WIDTH - RIGHT, y(v), LEFT - 8, y(v) + 4, v))
    for b in budgets:
        text.append('<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">%s</text>' % (x[b], HEIGHT - BOTTOM + 18, b))
    text.append('<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">budget, tokens of thought</text>' % ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10))
    points = " ".join("%.1f,%.1f" % (x[b], y(v)) for b, v in curves["adapter"].items())
    text.append('<polyline points="%s" fill="none" stroke="#1f6f8b" stroke-width="2.5"/>' % points)
    for b, v in curves["adapter"].items():
        text.append('<circle cx="%.1f" cy="%.1f" r="4" fill="#1f6f8b"/><text x="%.1f" y="%.1f" text-anchor="middle" fill="#1f6f8b">%.0f</text>' % (x[b], y(v), x[b], y(v) - 9, v))
    off = curves.get("base", {}).get("off")
    if off is not None:
        text.append('<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#b5651d" stroke-width="2" stroke-dasharray="6 4"/>' % (LEFT, y(off), WIDTH - RIGHT, y(off)))
        text.append('<text x="%d" y="%.1f" text-anchor="end" fill="#b5651d">the model alone, %.0f</text>' % (WIDTH - RIGHT, y(off) + 16, off))
    return "\n".join(text + ["</svg>", ""])


if len(sys.argv) < 2:
    sys.exit(__doc__)
sys.stdout.write(picture(means(sys.argv[1:])))
