#!/usr/bin/env python3
"""ponder beside llama.cpp on the same files: prints Markdown tables with ratios, each of medians of interleaved runs.

usage: peer.py PONDER PEER_DIR MODEL... [--pairs 5] [--threads 2] [--pp 512] [--tg 64] [--depth 4096] [--only FIGURE[,FIGURE]...]
PEER_DIR is what peer_install.sh made. A MODEL is a GGUF file; the two of the catalogue have goals and vectors for the distance from
exact arithmetic. llama.cpp runs in every variant that is installed, with flash attention on and off; its best counts, figure by figure.
Exit code 1 where a goal is missed. FIGURE: speed, depth, kld."""
import argparse
import datetime
import glob
import json
import os
import platform
import statistics
import subprocess
import sys

import kld

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "..", "vectors")

# A file's name, its vectors, and what is wanted of the ratios: prefill with AMX and with AVX-512 VNNI.
KNOWN = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": {
        "vectors": "logprobs-smollm2-135m-q4_1.jsonl.gz",
        "goals": {"prefill": {"amx": 8, "avx512": 4}, "decode": 2.2, "deep": 2.5, "load": 3, "memory": 0.85, "kld": 1}},
    "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf": {
        "vectors": "logprobs-qwen2.5-coder-1.5b-q4_k_m.jsonl.gz",
        "goals": {"prefill": {"amx": 5, "avx512": 3}, "decode": 1.6, "deep": 1.8, "load": 8, "memory": 0.7, "kld": 1}},
}
# Of a figure: goal, title, unit, whether more is better, digits.
FIGURES = {
    "pp_tps": ("prefill", "prefill, {pp} tokens", "tok/s", True, 1),
    "tg_tps": ("decode", "decode, empty context", "tok/s", True, 1),
    "deep_tps": ("deep", "decode at depth {depth}", "tok/s", True, 1),
    "load_s": ("load", "start to ready", "s", False, 3),
    "rss_mb": ("memory", "peak memory at {pp} tokens", "MB", False, 0),
    "kld": ("kld", "mean KLD from exact arithmetic, prompt", "nats", False, None),
    "kld_decode": ("kld", "the same, a token at a time", "nats", False, None),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def peers(folder):
    """Commands of the installed variants, by name."""
    found = sorted(glob.glob(os.path.join(folder, "*", "bin", "python")))
    if not found:
        sys.exit(f"peer: nothing is installed in {folder}")
    run = os.path.join(HERE, "peer_run.py")
    return {f"{p.split(os.sep)[-3]}{', fa' if fa == 'on' else ''}": ([p, run], ["--fa", fa]) for p in found for fa in ("off", "on")}


def run_json(name, argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def interleave(a, model, pp, depth):
    """{name: [result of each pair]}"""
    size = ["--threads", str(a.threads), "--pp", str(pp), "--tg", str(a.tg), "--depth", str(depth)]
    commands = {"ponder": [a.ponder, "bench", "-m", model, *size, "--repeat", "1", "--json"]}
    commands.update({name: [*front, model, *size, *back] for name, (front, back) in peers(a.peer).items()})
    got = {name: [] for name in commands}
    for i in range(a.pairs):
        for name, argv in commands.items():
            got[name].append(run_json(name, argv))
            say(f"  {i + 1}/{a.pairs} {name}: " + " ".join(f"{k} {got[name][-1][k]}" for k in ("pp_tps", "tg_tps", "load_s", "rss_mb")))
    return got


def medians(got, key):
    return {name: statistics.median(r[key] for r in results) for name, results in got.items()}


def distances(a, model, vectors, decode):
    """{name: mean KLD over all texts}"""
    records = kld.read_vectors(os.path.join(VECTORS, vectors))
    extra = ["--decode"] if decode else []
    commands = {"ponder": [a.ponder, "inspect", "logits", "-m", model, "--top", str(kld.TOP), "--threads", str(a.threads), *extra]}
    commands.update({name: [*front, model, "--logits", "--top", str(kld.TOP), "--threads", str(a.threads), *back, *extra]
                     for name, (front, back) in peers(a.peer).items()})
    out = {}
    for name, argv in commands.items():
        try:
            out[name] = statistics.mean(k for k, _ in kld.measure(records, argv))
        except kld.NoLogprobs as e:
            sys.exit(f"{name}: not log-probabilities: {e}")
        say(f"  {name}: mean KLD {out[name]:.2e}{' decode' if decode else ''}")
    return out


def measure(a, model):
    """({figure: {name: value}}, what ponder said of itself)"""
    figures, own = {}, []
    if "speed" in a.only:
        got = interleave(a, model, a.pp, 0)
        own += got["ponder"]
        for key in ("pp_tps", "tg_tps", "load_s", "rss_mb"):
            figures[key] = medians(got, key)
    if "depth" in a.only:
        got = interleave(a, model, 0, a.depth)
        own += got["ponder"]
        figures["deep_tps"] = medians(got, "tg_tps")
    known = KNOWN.get(os.path.basename(model))
    if "kld" in a.only and known:
        for key in ("kld", "kld_decode"):
            figures[key] = distances(a, model, known["vectors"], key == "kld_decode")
    return figures, own


def goal_of(model, figure, kernels):
    goal = KNOWN.get(os.path.basename(model), {}).get("goals", {}).get(FIGURES[figure][0])
    return goal.get(kernels) if isinstance(goal, dict) else goal


def ratio_of(figure, values):
    """(ratio, whether it should be large): speeds and starts as times faster, memory and distance as a part of the peer's."""
    mine, others = values["ponder"], [v for name, v in values.items() if name != "ponder"]
    if FIGURES[figure][3]:
        return mine / max(others), True
    return (min(others) / max(mine, 1e-3), True) if figure == "load_s" else (mine / min(others), False)


def allowed(own, figure, a):
    """What ponder's bench found that the machine allows, in the middle of its runs; for decode."""
    depth = {"tg_tps": 0, "deep_tps": a.depth}.get(figure)
    roofs = [r["roof_tps"] for r in own if r["tg"] and r["depth"] == depth]
    return f" (memory allows {statistics.median(roofs):.0f})" if depth is not None and roofs else ""


def show(value, digits):
    return f"{value:.1e}" if digits is None else f"{value:,.{digits}f}"


def print_table(a, model, figures, own, kernels):
    names = [n for n in next(iter(figures.values())) if n != "ponder"]
    missed = 0
    print(f"\n{os.path.basename(model)}, {kernels} kernels\n")
    print(f"| figure | ponder | {' | '.join('llama.cpp, ' + n for n in names)} | ratio to the best | goal |")
    print("|---|---:|" + "---:|" * len(names) + "---:|---|")
    for figure, values in figures.items():
        _, title, unit, _, digits = FIGURES[figure]
        ratio, large = ratio_of(figure, values)
        goal = goal_of(model, figure, kernels)
        verdict = ""
        if goal:
            reached = ratio >= goal if large else ratio <= goal
            missed += not reached
            verdict = f"{'≥' if large else '≤'} {goal:g}{'' if reached else ': missed'}"
        cells = [show(values[n], digits) for n in names]
        print(f"| {title.format(pp=a.pp, depth=a.depth)}{allowed(own, figure, a)} | {show(values['ponder'], digits)} {unit} | {' | '.join(cells)} "
              f"| {ratio:.2f}{'×' if large else ''} | {verdict} |")
    return missed


def processor():
    with open("/proc/cpuinfo") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_machine(a, own):
    rate = max((r["read_gbps"] for r in own), default=0)
    memory = f", memory read at {rate:.1f} GB/s by {a.threads} threads" if rate else ""
    print(f"{processor()}, {os.cpu_count()} processors, Linux {platform.release()}{memory}; load {os.getloadavg()[0]:.1f}; "
          f"{datetime.date.today().isoformat()}; {a.threads} threads; medians of {a.pairs} interleaved runs.")


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("ponder")
    p.add_argument("peer")
    p.add_argument("models", nargs="+")
    for name, value in (("pairs", 5), ("threads", 2), ("pp", 512), ("tg", 64), ("depth", 4096)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--only", default="speed,depth,kld", type=lambda s: s.split(","))
    a = p.parse_args()
    if set(a.only) - {"speed", "depth", "kld"}:
        p.error("--only takes speed, depth, kld")
    results = []
    for model in a.models:
        say(os.path.basename(model))
        results.append((model, *measure(a, model)))
    print_machine(a, [r for _, _, own in results for r in own])
    missed = 0
    for model, figures, own in results:
        if figures:
            kernels = own[0]["kernels"] if own else run_json("ponder", [a.ponder, "bench", "-m", model, "--pp", "1", "--tg", "0", "--repeat", "1", "--json"])["kernels"]
            missed += print_table(a, model, figures, own, kernels)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
