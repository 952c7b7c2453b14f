"""The forward pass of a GGUF model in double precision, as the papers and model cards have it: no blocks, no rounding but where asked for."""
import numpy as np
import gguf


class Model:
    """All tensors of a file (or of its parts), expanded, and its metadata."""

    def __init__(self, *paths):
        self.tensors, self.keys = {}, {}
        for path in paths:
            r = gguf.GGUFReader(path)
            for k, f in r.fields.items():
                self.keys.setdefault(k, f.contents() if f.types else None)
            for t in r.tensors:
                self.tensors[t.name] = np.asarray(gguf.quants.dequantize(t.data, t.tensor_type), dtype=np.float64)
        self.arch = self.keys["general.architecture"]

    def key(self, name, default=None):
        return self.keys.get(self.arch + "." + name, default)


def norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def turn(x, angles, halves, size):
    """x: positions x heads x dim."""
    c, s = size * np.cos(angles)[:, None, :], size * np.sin(angles)[:, None, :]
    out = x.copy()
    n = angles.shape[-1]
    a, b = (x[..., :n], x[..., n : 2 * n]) if halves else (x[..., 0 : 2 * n : 2], x[..., 1 : 2 * n : 2])
    if halves:
        out[..., :n], out[..., n : 2 * n] = a * c - b * s, a * s + b * c
    else:
        out[..., 0 : 2 * n : 2], out[..., 1 : 2 * n : 2] = a * c - b * s, a * s + b * c
    return out


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def frequencies(m, base, dim):
    return base ** (-2.0 * np.arange(dim // 2) / dim)


def attention(m, i, x, n_ctx, cache):
    arch, b = m.arch, "blk.%d." % i
    heads, kv, dim = m.key("attention.head_count"), m.key("attention.head_count_kv"), m.key("attention.key_length")
    eps, n = m.key("attention.layer_norm_rms_epsilon"), len(x)
    if b + "attn_qkv.weight" in m.tensors:
        q, k, v = np.split(x @ m.tensors[b + "attn_qkv.weight"].T, [heads * dim, (heads + kv) * dim], axis=-1)
    else:
        q, k, v = (x @ m.tensors[b + "attn_%s.weight" % c].T + m.tensors.get(b + "attn_%s.bias" % c, 0) for c in "qkv")
    q, k, v = q.reshape(n, heads, dim), k.reshape(n, kv, dim), v.reshape(n, kv, dim)
    if b + "attn_q_norm.weight" in m.tensors:
        q, k = norm(q, m.tensors[b + "attn_q_norm.weight"], eps), norm(k, m.tensors[b + "attn_k_norm.weight"], eps)
    window = m.key("attention.sliding_window", 0) if arch == "gemma3" and (i + 1) % 6 else 0
    freq, size = frequencies(m, 10000.0 if window else m.key("rope.freq_base"), m.key("rope.dimension_count")), 1.0
    if not window:
        freq = freq / m.key("rope.scaling.factor", 1.0)
        freq = freq / m.tensors.get("rope_freqs.weight", 1.0)
        if "rope_factors_long.weight" in m.tensors:
            far = n_ctx > m.key("rope.scaling.original_context_length")
            freq = freq / m.tensors["rope_factors_%s.weight" % ("long" if far else "short")]
            size = m.key("rope.scaling.attn_factor", 1.0)
    if arch != "smollm3" or (i + 1) % 4:
        angles = np.arange(n)[:, None] * freq[None, :]
        q, k = (turn(t, angles, arch not in ("llama", "smollm3"), size) for t in (q, k))
    k, v = k.astype(cache).astype(np.float64), v.astype(cache).astype(np.float64)
    k, v = np.repeat(k, heads // kv, axis=1), np.repeat(v, heads // kv, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(dim)
    ahead = np.arange(n)[None, :] - np.arange(n)[:, None]
    scores[:, (ahead > 0) | (window > 0) & (ahead <= -max(window, 1))] = -np.inf
    return np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(n, heads * dim) @ m.tensors[b + "attn_output.weight"].T


def feed_forward(m, i, x):
    b = "blk.%d." % i
    up = x @ m.tensors[b + "ffn_up.weight"].T
    if b + "ffn_gate.weight" in m.tensors:
        gate = x @ m.tensors[b + "ffn_gate.weight"].T
    else:
        gate, up = np.split(up, 2, axis=-1)
    return ((gelu if m.arch == "gemma3" else silu)(gate) * up) @ m.tensors[b + "ffn_down.weight"].T


def logits(m, ids, n_ctx, cache=np.float64):
    """Of all positions; keys and values rounded to the type of the cache."""
    eps = m.key("attention.layer_norm_rms_epsilon")
    x = m.tensors["token_embd.weight"][np.asarray(ids)]
    if m.arch == "gemma3":
        x = x * np.sqrt(x.shape[-1])
    for i in range(m.key("block_count")):
        b = "blk.%d." % i
        a = attention(m, i, norm(x, m.tensors[b + "attn_norm.weight"], eps), n_ctx, cache)
        if b + "post_attention_norm.weight" in m.tensors:
            a = norm(a, m.tensors[b + "post_attention_norm.weight"], eps)
        x = x + a
        f = feed_forward(m, i, norm(x, m.tensors[b + "ffn_norm.weight"], eps))
        if b + "post_ffw_norm.weight" in m.tensors:
            f = norm(f, m.tensors[b + "post_ffw_norm.weight"], eps)
        x = x + f
    return norm(x, m.tensors["output_norm.weight"], eps) @ m.tensors.get("output.weight", m.tensors["token_embd.weight"]).T


def adapt(m, adapter, scale):
    """Adds what a LoRA file says to the matrices."""
    a = Model(adapter)
    for name, low in a.tensors.items():
        if name.endswith(".lora_a"):
            high = a.tensors[name[:-1] + "b"]
            m.tensors[name[:-7]] = m.tensors[name[:-7]] + scale * a.keys["adapter.lora.alpha"] / len(low) * (high @ low)
