"""Random models of a few megabytes, one for each architecture, in every form that the peer or the gguf package can make of them.

Widths are multiples of 256, as K-quants need. The numbers are such that logits spread over a few nats, like those of a trained model.
"""
import numpy as np
import gguf

WIDTH, FF, VOCAB, CTX = 256, 512, 320, 2048


class Spec:
    def __init__(self, name, arch, layers=3, heads=4, kv=2, dim=64, tied=True, **more):
        self.name, self.arch, self.layers, self.heads, self.kv, self.dim, self.tied = name, arch, layers, heads, kv, dim, tied
        self.more = more


SPECS = [
    Spec("llama", "llama", tied=False),
    Spec("llama-factors", "llama", kv=1, factors=True),
    Spec("qwen2", "qwen2", bias=True),
    Spec("qwen3", "qwen3", dim=128, head_norm=True),
    Spec("smollm3", "smollm3", layers=5),
    Spec("phi3", "phi3", kv=4, fused=True, tied=False),
    Spec("phi3-long", "phi3", kv=4, fused=True, tied=False, long=True),
    Spec("gemma3", "gemma3", layers=7, kv=1, dim=128, head_norm=True, gemma=True, window=64),
    Spec("gemma3-scaled", "gemma3", layers=7, kv=2, dim=64, head_norm=True, gemma=True, window=48, linear=8.0),
]


def byte_vocabulary(w):
    """All bytes in the alphabet of GPT-2, one merge, and names for what is left."""
    shown = list(range(0x21, 0x7f)) + list(range(0xa1, 0xad)) + list(range(0xae, 0x100))
    letters = [chr(c) for c in shown] + [chr(0x100 + i) for i in range(256 - len(shown))]
    tokens = letters + ["he"] + ["<pad%d>" % i for i in range(VOCAB - 257)]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.UNUSED] * (VOCAB - 257))
    w.add_token_merges(["h e"])
    w.add_add_bos_token(False)


def scored_vocabulary(w, seed=5, size=VOCAB, prefix=True, letters="abcdefgh é日"):
    """SentencePiece's: control tokens, bytes, then random strings over a few letters with scores that are often equal."""
    rng = np.random.default_rng(seed)
    pieces = ["▁"] + [c for c in letters if c != " "]
    while len(pieces) < size - 261:
        a, b = rng.integers(0, len(pieces), 2)
        text = pieces[a] + pieces[b]
        if text not in pieces and len(text) < 12:
            pieces.append(text)
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + pieces[: size - 261] + ["\n\n", "<mark>"]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * (size - 261) + [gguf.TokenType.USER_DEFINED] * 2
    scores = [0.0] * 259 + [float(-rng.integers(0, 40)) / 2 for _ in range(size - 261)] + [0.0] * 2
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores(scores)
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_space_prefix(prefix)


def keys(w, s):
    """Metadata of the architecture."""
    w.add_name(s.name)
    w.add_block_count(s.layers)
    w.add_context_length(CTX)
    w.add_embedding_length(WIDTH)
    w.add_feed_forward_length(FF)
    w.add_head_count(s.heads)
    w.add_head_count_kv(s.kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(10000.0)
    w.add_rope_dimension_count(s.dim)
    w.add_key_length(s.dim)
    w.add_value_length(s.dim)
    w.add_vocab_size(VOCAB)
    if s.more.get("window"):
        w.add_sliding_window(s.more["window"])
    if s.more.get("linear"):
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(s.more["linear"])
    if s.more.get("long"):
        w.add_rope_scaling_orig_ctx_len(64)
        w.add_rope_scaling_attn_factors(1.19)


def tensors(s, seed=1):
    """(name, array) of a model, in the order of files."""
    rng = np.random.default_rng(seed)
    more = s.more
    n_q, n_kv = s.heads * s.dim, s.kv * s.dim

    def matrix(rows, cols):
        return (rng.standard_normal((rows, cols)) / np.sqrt(cols)).astype(np.float32)

    def vector(n, middle=1.0, spread=0.2):
        return (middle + spread * rng.standard_normal(n)).astype(np.float32)

    # small beside what the layers add: where input and output share a matrix, each token would but foretell itself
    embed = 1 / 64 if more.get("gemma") else 1 / 4 if s.tied else 1.0
    yield "token_embd.weight", (embed * rng.standard_normal((VOCAB, WIDTH))).astype(np.float32)
    yield "output_norm.weight", vector(WIDTH, 0.2 / embed, 0.04 / embed)
    if not s.tied:
        yield "output.weight", rng.standard_normal((VOCAB, WIDTH)).astype(np.float32)
    if more.get("factors"):
        yield "rope_freqs.weight", np.concatenate([np.ones(s.dim // 4), np.linspace(1, 8, s.dim // 4)]).astype(np.float32)
    if more.get("long"):
        yield "rope_factors_long.weight", np.linspace(1, 30, s.dim // 2).astype(np.float32)
        yield "rope_factors_short.weight", np.linspace(1, 2, s.dim // 2).astype(np.float32)
    for i in range(s.layers):
        b = "blk.%d." % i
        yield b + "attn_norm.weight", vector(WIDTH)
        yield b + "ffn_norm.weight", vector(WIDTH)
        if more.get("fused"):
            yield b + "attn_qkv.weight", matrix(n_q + 2 * n_kv, WIDTH)
        else:
            yield b + "attn_q.weight", matrix(n_q, WIDTH)
            yield b + "attn_k.weight", matrix(n_kv, WIDTH)
            yield b + "attn_v.weight", matrix(n_kv, WIDTH)
        if more.get("bias"):
            yield b + "attn_q.bias", vector(n_q, 0, 0.5)
            yield b + "attn_k.bias", vector(n_kv, 0, 0.5)
            yield b + "attn_v.bias", vector(n_kv, 0, 0.5)
        if more.get("head_norm"):
            yield b + "attn_q_norm.weight", vector(s.dim)
            yield b + "attn_k_norm.weight", vector(s.dim)
        if more.get("gemma"):
            yield b + "post_attention_norm.weight", vector(WIDTH, 0.5)
            yield b + "post_ffw_norm.weight", vector(WIDTH, 0.5)
        yield b + "attn_output.weight", matrix(WIDTH, n_q)
        if not more.get("fused"):
            yield b + "ffn_gate.weight", matrix(FF, WIDTH)
        yield b + "ffn_up.weight", matrix(2 * FF if more.get("fused") else FF, WIDTH)
        yield b + "ffn_down.weight", matrix(WIDTH, FF)


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write(path, s, **writer):
    w = gguf.GGUFWriter(path, s.arch, **writer)
    keys(w, s)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    (scored_vocabulary if s.more.get("gemma") else byte_vocabulary)(w)
    for name, data in tensors(s):
        w.add_tensor(name, data)
    finish(w)


def is_matrix(name):
    return name.endswith(".weight") and "norm" not in name and "rope" not in name


def write_mxfp4(path, s):
    """MXFP4 in the layers, Q8_0 at both ends: the peer's own quantiser makes the type for experts only."""
    w = gguf.GGUFWriter(path, s.arch)
    keys(w, s)
    (scored_vocabulary if s.more.get("gemma") else byte_vocabulary)(w)
    for name, data in tensors(s):
        if is_matrix(name):
            kind = gguf.GGMLQuantizationType.MXFP4 if name.startswith("blk.") else gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            w.add_tensor(name, data)
    finish(w)


def write_adapter(path, s, rank=8, alpha=16.0, seed=9):
    """A LoRA adapter for all matrices of the layers."""
    rng = np.random.default_rng(seed)
    w = gguf.GGUFWriter(path, s.arch)
    w.add_type("adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", alpha)
    for name, data in tensors(s):
        if not name.startswith("blk.") or not is_matrix(name):
            continue
        rows, cols = data.shape
        w.add_tensor(name + ".lora_a", (rng.standard_normal((rank, cols)) / np.sqrt(cols)).astype(np.float32))
        w.add_tensor(name + ".lora_b", (0.2 * rng.standard_normal((rows, rank))).astype(np.float32))
    finish(w)


def write_vocabulary(path, seed, prefix):
    w = gguf.GGUFWriter(path, "llama")
    keys(w, SPECS[0])
    scored_vocabulary(w, seed=seed, size=600, prefix=prefix)
    finish(w)
