"""A random model of some 200 KB whose vocabulary is all bytes and a list of terminal escapes: python3 tiny.py OUT [hostile] [sharp] [smollm]"""
import array
import random
import struct
import sys

CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
SMOLLM = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}" + CHATML
ESCAPES = [
    b"\x1b]0;owned\x07", b"\x1b]52;c;b3duZWQ=\x07", b"\x1b[2J", b"\x1b[31m", b"\x1bc", b"\x1bP$q\"p\x1b\\", b"\x1b[?1049h", b"\x1b[6n", b"\x1b]8;;http://x\x07",
    b"\x1b_Gi=1\x1b\\", b"\x1b^x\x1b\\", b"\x9b31m", b"\x9d0;owned\x9c", b"\x90q\x9c", b"\xc2\x9b31m", b"\xc2\x9d0;owned\xc2\x9c", b"\xc2\x90", b"\xc2\x85",
    b"\r", b"\x08\x08\x08", b"\x07", b"\x0e", b"\x0f", b"\x0b", b"\x0c", b"\x00", b"\x7f", b"\x05", b"\xe2\x80\xae", b"\xe2\x80\xaa", b"\xe2\x80\xad",
    b"\xe2\x81\xa6", b"\xe2\x81\xa9", b"\xe2\x80\x8e", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xf3\xa0\x81\x81", b"\xed\xa0\x80", b"\xc0\x9b", b"\xe0\x80\x9b",
    b"\xf0\x80\x80\x9b", b"\xff", b"\xf8\x88", b"\xef\xbb\xbf", b"\xe2\x80\x8b",
]
WORDS = [w.encode() for w in " the| of| and| to| in| is| it| that| was| for| on| are| as| with| his| they| at| be| this| have|.|,|?|\n|\n\n|1|2|3".split("|")]


def alphabet():
    """the stand-ins that byte-level vocabularies have for bytes"""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    out, extra = {}, 0
    for b in range(256):
        out[b] = chr(b) if b in plain else chr(256 + extra)
        extra += b not in plain
    return out


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


class Gguf:
    def __init__(self):
        self.kv, self.table, self.data, self.n_kv, self.n_tensors = b"", b"", b"", 0, 0

    def put(self, key, kind, value):
        self.kv += text(key) + struct.pack("<I", kind) + value
        self.n_kv += 1

    def u32(self, key, v):
        self.put(key, 4, struct.pack("<I", v))

    def f32(self, key, v):
        self.put(key, 6, struct.pack("<f", v))

    def string(self, key, v):
        self.put(key, 8, text(v))

    def tensor(self, name, dims, values):
        self.table += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", 0, len(self.data))
        self.data += array.array("f", values).tobytes()
        self.data += b"\0" * (-len(self.data) % 32)
        self.n_tensors += 1

    def bytes(self):
        head = b"GGUF" + struct.pack("<IQQ", 3, self.n_tensors, self.n_kv) + self.kv + self.table
        return head + b"\0" * (-len(head) % 32) + self.data


def model(hostile=False, ctx=4096, layers=2, embd=64, ff=128, heads=4, zero=False, sharp=False, smollm=False):
    g, stand_in, rng = Gguf(), alphabet(), random.Random(7)
    tokens = ["".join(stand_in[b] for b in t) for t in [bytes([b]) for b in range(256)] + (ESCAPES * 3 if hostile else []) + WORDS * 4]
    tokens = [t if tokens.index(t) == i else t + stand_in[33 + i % 90] for i, t in enumerate(tokens)]
    tokens = [t if tokens.index(t) == i else f"{t}{i}" for i, t in enumerate(tokens)]
    kinds = [1] * len(tokens) + [3, 3, 3]
    tokens += ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    n = len(tokens)
    g.string("general.architecture", "llama")
    g.string("general.name", "tiny")
    for key, v in {"block_count": layers, "context_length": ctx, "embedding_length": embd, "feed_forward_length": ff, "attention.head_count": heads,
                   "attention.head_count_kv": heads}.items():
        g.u32("llama." + key, v)
    g.f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    g.f32("llama.rope.freq_base", 10000)
    g.string("tokenizer.ggml.model", "gpt2")
    g.string("tokenizer.ggml.pre", "qwen2")
    g.put("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, n) + b"".join(text(t) for t in tokens))
    g.put("tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, n) + struct.pack(f"<{n}i", *kinds))
    g.put("tokenizer.ggml.merges", 9, struct.pack("<IQ", 8, 0))
    g.u32("tokenizer.ggml.eos_token_id", n - 2)
    g.string("tokenizer.chat_template", SMOLLM if smollm else CHATML)

    def matrix(name, cols, rows, scale):
        g.tensor(name, [cols, rows], [0.0] * (cols * rows) if zero else [rng.uniform(-scale, scale) for _ in range(cols * rows)])

    matrix("token_embd.weight", embd, n, 1)
    g.tensor("output_norm.weight", [embd], [1.0] * embd)
    for i in range(layers):
        for name, cols, rows in [("attn_q", embd, embd), ("attn_k", embd, embd), ("attn_v", embd, embd), ("attn_output", embd, embd), ("ffn_gate", embd, ff),
                                 ("ffn_up", embd, ff), ("ffn_down", ff, embd)]:
            matrix(f"blk.{i}.{name}.weight", cols, rows, 1.5 / cols ** 0.5)
        g.tensor(f"blk.{i}.attn_norm.weight", [embd], [1.0] * embd)
        g.tensor(f"blk.{i}.ffn_norm.weight", [embd], [1.0] * embd)
    # small logits: every token comes about as often as any other; sharp: one that can be taught to be sure
    matrix("output.weight", embd, n, 0.5 if sharp else 0.05)
    return g.bytes()


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as f:
        f.write(model(hostile="hostile" in sys.argv[2:], sharp="sharp" in sys.argv[2:], smollm="smollm" in sys.argv[2:]))
