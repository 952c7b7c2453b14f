"""The peer engine behind a line of JSON a request; runs in the Python that has llama_cpp. Arrays go through files of numpy."""
import ctypes
import json
import sys

import llama_cpp as L
import numpy as np

# what the library prints must not reach the answers
answers = open(sys.stdout.fileno(), "w", closefd=False)
quiet = L.llama_log_callback(lambda level, text, data: sys.stderr.buffer.write(text) if level == 4 else None)
L.llama_log_set(quiet, ctypes.c_void_p())
L.llama_backend_init()


def load(path, vocab_only=False):
    p = L.llama_model_default_params()
    p.vocab_only = vocab_only
    model = L.llama_model_load_from_file(path.encode(), p)
    if not model:
        raise RuntimeError("cannot load " + path)
    return model


def quantize(src, dst, ftype):
    p = L.llama_model_quantize_default_params()
    p.ftype, p.nthread = getattr(L, "LLAMA_FTYPE_MOSTLY_" + ftype), 2
    if L.llama_model_quantize(src.encode(), dst.encode(), ctypes.byref(p)):
        raise RuntimeError("cannot make " + dst)


def logits(model, ids, out, n_ctx, flash=True, cache=1, lora=None, scale=1.0):
    """cache: the type of keys and values, 0 f32, 1 f16."""
    m = load(model)
    c = L.llama_context_default_params()
    c.n_ctx, c.n_batch, c.n_threads, c.n_threads_batch = n_ctx, n_ctx, 2, 2
    c.type_k = c.type_v = cache
    c.flash_attn_type = int(flash)
    x = L.llama_init_from_model(m, c)
    if not x:
        raise RuntimeError("no context for " + model)
    if lora:
        a = L.llama_adapter_lora_init(m, lora.encode())
        if not a or L.llama_set_adapters_lora(x, (L.llama_adapter_lora_p_ctypes * 1)(a), 1, (ctypes.c_float * 1)(scale)):
            raise RuntimeError("cannot apply " + lora)
    n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(m))
    b = L.llama_batch_init(n_ctx, 0, 1)
    b.n_tokens = len(ids)
    for i, t in enumerate(ids):
        b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0], b.logits[i] = t, i, 1, 0, 1
    if L.llama_decode(x, b):
        raise RuntimeError("decode failed")
    np.save(out, np.array([np.ctypeslib.as_array(L.llama_get_logits_ith(x, i), (n_vocab,)) for i in range(len(ids))]))
    L.llama_batch_free(b)
    L.llama_free(x)
    L.llama_model_free(m)


def tokenize(model, texts, special):
    m = load(model, vocab_only=True)
    v = L.llama_model_get_vocab(m)
    out = []
    for t in texts:
        t = t.encode("utf-8", "surrogateescape")
        room = (L.llama_token * (len(t) + 16))()
        out.append(list(room[: L.llama_tokenize(v, t, len(t), room, len(room), False, special)]))
    L.llama_model_free(m)
    return out


for line in sys.stdin:
    r = json.loads(line)
    try:
        answer = {"ok": globals()[r.pop("do")](**r)}
    except Exception as e:
        answer = {"error": repr(e)}
    print(json.dumps(answer), file=answers, flush=True)
