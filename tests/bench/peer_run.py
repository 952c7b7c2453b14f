#!/usr/bin/env python3
"""One run of llama.cpp, in the form of `ponder bench --json` or, with --logits, of `ponder inspect logits`. Needs the Python that
peer_install.sh made.

usage: peer_run.py MODEL [--threads 2] [--pp 512] [--tg 128] [--depth 0] [--fa on|off]
       peer_run.py MODEL --logits [--decode] [--top 320] [--threads 2] [--fa on|off] <IDS

The same ids as bench's, in the same calls: a token to warm up, the prompt at once, then one given id a step at the depth. load_s is from
the imported binding to a context that is ready, so that Python's own start does not count against it; rss_mb is the peak less what
Python and the binding took before."""
import argparse
import ctypes
import json
import resource
import sys
import time

import llama_cpp as L
import numpy as np


def peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Peer:
    def __init__(self, path, n_ctx, threads, fa):
        self.quiet = L.llama_log_callback(lambda *_: None)
        L.llama_log_set(self.quiet, ctypes.c_void_p())
        L.llama_backend_init()
        self.base_kb = peak_kb()
        start = time.monotonic()
        self.model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
        if not self.model:
            sys.exit(f"peer: cannot load {path}")
        c = L.llama_context_default_params()
        c.n_ctx, c.n_batch, c.n_ubatch = n_ctx, 2048, 512
        c.n_threads = c.n_threads_batch = threads
        c.flash_attn_type = 1 if fa == "on" else 0
        self.context = L.llama_init_from_model(self.model, c)
        self.memory = L.llama_get_memory(self.context)
        self.load_s = time.monotonic() - start
        self.n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(self.model))

    def clear(self):
        L.llama_memory_clear(self.memory, True)

    def run(self, ids):
        tokens = (L.llama_token * len(ids))(*ids)
        if L.llama_decode(self.context, L.llama_batch_get_one(tokens, len(ids))):
            sys.exit("peer: decode failed")
        L.llama_synchronize(self.context)

    def run_keeping_logits(self, ids):
        batch = L.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        if L.llama_decode(self.context, batch):
            sys.exit("peer: decode failed")
        rows = [self.logits(i) for i in range(len(ids))]
        L.llama_batch_free(batch)
        return rows

    def logits(self, i=-1):
        return np.ctypeslib.as_array(L.llama_get_logits_ith(self.context, i), (self.n_vocab,)).astype(np.float64)


def made_up_ids(n, seed, n_vocab):
    return [(i * 7919 + seed) % (n_vocab - 1000) + 100 for i in range(n)]


def bench(a):
    peer = Peer(a.model, max(a.pp, a.depth + a.tg) + 64, a.threads, a.fa)
    start = time.monotonic()
    peer.run(made_up_ids(1, 1, peer.n_vocab))
    first = time.monotonic() - start
    pp_tps = tg_tps = 0.0
    if a.pp:
        peer.clear()
        ids = made_up_ids(a.pp, 1, peer.n_vocab)
        start = time.monotonic()
        peer.run(ids)
        pp_tps = a.pp / (time.monotonic() - start)
    if a.tg:
        peer.clear()
        ids = made_up_ids(a.depth, 1, peer.n_vocab)
        for i in range(0, a.depth, 512):
            peer.run(ids[i:i + 512])
        ids = made_up_ids(a.tg, 5, peer.n_vocab)
        start = time.monotonic()
        for i in ids:
            peer.run([i])
        tg_tps = a.tg / (time.monotonic() - start)
    print(json.dumps({"pp_tps": round(pp_tps, 2), "tg_tps": round(tg_tps, 2), "load_s": round(peer.load_s, 3), "first_token_s": round(first, 3),
                      "rss_mb": (peak_kb() - peer.base_kb) // 1024}))


def best(logits, top):
    largest = logits.max()
    lp = logits - largest - np.log(np.exp(logits - largest).sum())
    ids = np.argpartition(-lp, top)[:top]
    ids = ids[np.argsort(-lp[ids], kind="stable")]
    return [[int(i), float(lp[i])] for i in ids]


def score(a):
    texts = [list(map(int, line.split())) for line in sys.stdin]
    peer = Peer(a.model, max(map(len, texts)) + 64, a.threads, a.fa)
    for ids in texts:
        peer.clear()
        if a.decode:
            rows = []
            for i in ids:
                peer.run([i])
                rows.append(peer.logits())
        else:
            rows = peer.run_keeping_logits(ids)
        print(json.dumps([best(row, a.top) for row in rows]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    for name, value in (("threads", 2), ("pp", 512), ("tg", 128), ("depth", 0), ("top", 320)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--fa", choices=("on", "off"), default="on")
    p.add_argument("--logits", action="store_true")
    p.add_argument("--decode", action="store_true")
    a = p.parse_args()
    score(a) if a.logits else bench(a)


if __name__ == "__main__":
    main()
