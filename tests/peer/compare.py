"""Tiny random models of every architecture and quantisation: this program beside llama.cpp and a forward pass in double precision.

usage: compare.py [WORD...]    only these quantisations, and the models whose names contain one of the other words; "tokens": only tokens
F32 models: logits within 1e-3 of the peer's. Quantised ones: the mean KL divergence from exact arithmetic on the same weights is at most
the peer's own, in prompts and one token at a time, with every kernel family of this machine. Speaks TAP.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

import models
import reference

PONDER = os.environ.get("PONDER", "build/ponder")
QUANTS = ["F16", "BF16", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_1", "Q4_K_S", "Q4_K_M", "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0",
          "IQ4_NL", "IQ4_XS", "MXFP4"]
POSITIONS, SLOW_POSITIONS, N_CTX = 120, 32, 512
# below this, divergences are rounding of f32 and of printed digits
FLOOR = 2e-7

here = os.path.dirname(os.path.abspath(__file__))
count = failures = 0


def report(ok, name, detail=""):
    global count, failures
    count += 1
    failures += not ok
    print("%sok %d - %s%s" % ("" if ok else "not ", count, name, " (%s)" % detail if detail else ""), flush=True)


class Peer:
    def __init__(self):
        self.process = subprocess.Popen([os.environ.get("PEER_PYTHON", sys.executable), os.path.join(here, "worker.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, do, **r):
        self.process.stdin.write(json.dumps(dict(r, do=do)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the peer is gone"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def logits(self, model, ids, **r):
        out = os.path.join(folder, "peer.npy")
        self.ask("logits", model=model, ids=ids, out=out, n_ctx=N_CTX, **r)
        return np.load(out).astype(np.float64)


def own(model, ids, *flags, kernels=None, threads=1):
    """Log-probabilities, [position][token]."""
    env = dict(os.environ, **({"PONDER_KERNELS": kernels} if kernels else {}))
    run = subprocess.run([PONDER, "inspect", "logits", "-m", model, "--top", str(models.VOCAB), "--threads", str(threads), *flags],
                         input=" ".join(map(str, ids)), capture_output=True, text=True, env=env)
    if run.returncode:
        raise RuntimeError(run.stderr.strip())
    rows = json.loads(run.stdout)
    out = np.full((len(rows), models.VOCAB), -np.inf)
    for row, pairs in zip(out, rows):
        for t, lp in pairs:
            row[t] = lp
    return out


def families():
    """Kernel families of this machine."""
    found = []
    for k in ("scalar", "avx2", "avx512", "amx"):
        try:
            own(os.path.join(folder, "probe.gguf"), [1], kernels=k)
            found.append(k)
        except RuntimeError as e:
            print("# kernels %s: %s" % (k, e))
    return found


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def divergence(p, q):
    """Mean over positions of the KL divergence of log-probabilities q from p."""
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def distance(a, b):
    """Of logits that differ by a constant a position: the largest difference, over the largest logit."""
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    return float((abs(a - b).max(-1) / abs(b).max(-1)).max())


def peer_and_slack(peer, s, what, model, ids, m, **lora):
    """The peer's logits without flash attention, on a cache of f32 and on one of f16 (where it rounds queries too); and how far the former
    are from exact arithmetic: next to nothing but for GELU, which it takes from a table of f16."""
    both = [peer.logits(model, ids, flash=False, cache=c, **lora) for c in (0, 1)]
    slack = distance(both[0], reference.logits(m, ids, N_CTX))
    report(slack < 1e-3, "%s %s: the peer and the reference agree" % (s.name, what), "%.1e" % slack)
    return both, slack


def check_floats(peer, s, what, model, ids, kernels, m, *flags, **lora):
    theirs, slack = peer_and_slack(peer, s, what, model, ids, m, **lora)
    rounded = reference.logits(m, ids, N_CTX, np.float16)
    worst = off = 0
    for k in kernels:
        for way in ([], ["--decode"]):
            n = SLOW_POSITIONS if (k, way) == ("scalar", ["--decode"]) else len(ids)
            got = own(model, ids[:n], *flags, *way, kernels=k)
            worst, off = max(worst, min(distance(got, t[:n]) for t in theirs)), max(off, distance(got, rounded[:n]))
            if not np.array_equal(got, own(model, ids[:n], *flags, *way, kernels=k, threads=2)):
                report(False, "%s %s %s %s: two threads give other numbers" % (s.name, what, k, way))
    report(worst < 1e-3 + slack, "%s %s: logits within 1e-3 of the peer's" % (s.name, what), "%.1e" % worst)
    report(off < 1e-3, "%s %s: logits within 1e-3 of the reference with a cache of f16" % (s.name, what), "%.1e" % off)


def check_quant(peer, s, model, quant, ids, kernels):
    exact = log_softmax(reference.logits(reference.Model(model), ids, N_CTX))
    theirs = min(divergence(exact, log_softmax(peer.logits(model, ids))), divergence(exact, log_softmax(peer.logits(model, ids, flash=False))))
    # plain C takes seconds for each: once is enough
    ours = {(k, *flags): divergence(exact, own(model, ids, *flags, kernels=k)) for k in kernels for flags in ([], ["--decode"])
            if (k, flags) != ("scalar", ["--decode"]) or s is models.SPECS[0]}
    worst = max(ours, key=ours.get)
    report(ours[worst] <= max(theirs, FLOOR), "%s %s: no further from exact arithmetic than the peer" % (s.name, quant),
           "peer %.1e, prompt %.1e, decode %.1e, worst %s" % (theirs, max(v for k, v in ours.items() if len(k) == 1),
                                                              max(v for k, v in ours.items() if len(k) == 2), " ".join(worst)))
    if os.environ.get("PEER_VERBOSE"):
        print("# " + ", ".join("%s %.1e" % (" ".join(k), v) for k, v in ours.items()))


def check_split(peer, s, whole, ids):
    stem = os.path.join(folder, s.name + "-split")
    models.write(stem + ".gguf", s, split_max_tensors=len(list(models.tensors(s))) // 3 + 1)
    first = stem + "-00001-of-00003.gguf"
    report(os.path.exists(first) and np.array_equal(own(first, ids), own(whole, ids)), "%s in three files gives the same numbers" % s.name)
    report(np.array_equal(peer.logits(first, ids), peer.logits(whole, ids)), "%s in three files gives the same numbers in the peer" % s.name)


def check_adapter(peer, s, model, ids, kernels):
    path = os.path.join(folder, s.name + "-adapter.gguf")
    models.write_adapter(path, s)
    m = reference.Model(model)
    before = reference.logits(m, ids, N_CTX)
    reference.adapt(m, path, 0.7)
    moved = distance(reference.logits(m, ids, N_CTX), before)
    report(moved > 0.1, "%s with an adapter is another model" % s.name, "%.1e" % moved)
    check_floats(peer, s, "with an adapter", model, ids, kernels, m, "--lora", path + ":0.7", lora=path, scale=0.7)


def check_trained(peer, s, model, ids, kernels):
    """An adapter that ponder taught: the peer loads it and makes the same of it."""
    data, path = os.path.join(folder, "data.jsonl"), os.path.join(folder, s.name + "-trained.gguf")
    with open(data, "w") as f:
        f.writelines('{"prompt": "%s", "completion": "%s"}\n' % (a, b) for a, b in [("abc def", " ghi"), ("xyz", "uvw abc"), ("a b c", "d e f g")])
    run = subprocess.run([PONDER, "train", "sft", "--base", model, "--data", data, "-o", path, "--rank", "4", "--lr", "0.01", "--epochs", "6", "--f32-file", "--log", "off"],
                         capture_output=True)
    if run.returncode:
        return report(False, "%s is taught" % s.name, run.stderr.decode())
    m = reference.Model(model)
    before = reference.logits(m, ids, N_CTX)
    reference.adapt(m, path, 1)
    moved = distance(reference.logits(m, ids, N_CTX), before)
    report(moved > 0.01, "%s learns something" % s.name, "%.1e" % moved)
    check_floats(peer, s, "with what it was taught", model, ids, kernels, m, "--lora", path, lora=path, scale=1.0)


def own_tokens(model, texts, special):
    run = subprocess.run([PONDER, "inspect", "tokenize", "-m", model, *(["--special"] if special else [])],
                         input="\x1e".join(texts).encode("utf-8", "surrogateescape") + b"\x1e", capture_output=True)
    if run.returncode:
        raise RuntimeError(run.stderr.decode())
    return [[int(i) for i in line.split()] for line in run.stdout.splitlines()]


def check_tokens(peer):
    """Random texts, some of them broken, over random vocabularies with scores."""
    rng = random.Random(3)
    letters = list("abcdefgh") + [" ", " ", "  ", "é", "日", "\n", "\n\n", "<s>", "</s>", "<mark>", "<0x41>", "▁", "z", "\udcc3", "\udce6\udc97", "\udcff", "😀"]
    for seed in range(6):
        path = os.path.join(folder, "vocabulary.gguf")
        models.write_vocabulary(path, seed, prefix=seed % 2 == 0)
        texts = ["".join(rng.choice(letters) for _ in range(rng.randrange(1, 60))) for _ in range(400)]
        bad = []
        for special in (False, True):
            theirs, ours = peer.ask("tokenize", model=path, texts=texts, special=special), own_tokens(path, texts, special)
            bad += [(t, a, b) for t, a, b in zip(texts, ours, theirs) if a != b] if len(ours) == len(theirs) else [("count", len(ours), len(theirs))]
        for t, a, b in bad[:3]:
            print("# %r\n#   %s\n#   peer %s" % (t, a, b))
        report(not bad, "tokens of random texts, vocabulary %d" % seed, "%d of %d differ" % (len(bad), 2 * len(texts)) if bad else "")


def main():
    quants = [q for q in QUANTS if q in sys.argv[1:]] or QUANTS
    words = [w for w in sys.argv[1:] if w not in QUANTS]
    peer = Peer()
    models.write(os.path.join(folder, "probe.gguf"), models.SPECS[0])
    kernels = families()
    print("# kernels: " + " ".join(kernels))
    if not words or "tokens" in words:
        check_tokens(peer)
    rng = np.random.default_rng(11)
    for s in models.SPECS:
        if words and not any(w in s.name for w in words):
            continue
        ids = [int(i) for i in rng.integers(3, 256, POSITIONS)]
        whole = os.path.join(folder, s.name + ".gguf")
        models.write(whole, s)
        check_floats(peer, s, "F32", whole, ids, kernels, reference.Model(whole))
        check_split(peer, s, whole, ids)
        check_adapter(peer, s, whole, ids, kernels)
        if s.arch in ("llama", "qwen2", "qwen3", "smollm3"):
            check_trained(peer, s, whole, ids, kernels)
        for quant in quants:
            path = os.path.join(folder, "%s-%s.gguf" % (s.name, quant))
            if quant == "MXFP4":
                models.write_mxfp4(path, s)
            else:
                peer.ask("quantize", src=whole, dst=path, ftype=quant)
            check_quant(peer, s, path, quant, ids, kernels)
            os.unlink(path)
        os.unlink(whole)
    print("1..%d" % count)
    return failures > 0


with tempfile.TemporaryDirectory(prefix="ponder-peer-") as folder:
    sys.exit(main())
