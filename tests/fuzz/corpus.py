"""Seeds for the fuzz targets, from what the tree has anyway: python3 tests/fuzz/corpus.py FOLDER. Inputs that once failed lie in tests/fuzz/found."""
import glob
import json
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault/lib"))
import tiny  # noqa: E402

out = sys.argv[1]


def put(target, name, data):
    os.makedirs(os.path.join(out, target), exist_ok=True)
    with open(os.path.join(out, target, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


small = dict(ctx=32, layers=1, embd=16, ff=16, heads=2)
put("gguf", "tiny", tiny.model(**small))
put("gguf", "empty", struct.pack("<4sIQQ", b"GGUF", 3, 0, 0))
os.makedirs(out, exist_ok=True)
with open(os.path.join(out, "model.gguf"), "wb") as f:
    f.write(tiny.model(**small))
g = tiny.Gguf()
for k, v in [("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")]:
    g.string(k, v)
g.f32("adapter.lora.alpha", 4)
for name, n_in, n_out in [("blk.0.attn_q.weight", 16, 16), ("blk.0.ffn_up.weight", 16, 16)]:
    g.tensor(name + ".lora_a", [n_in, 2], [0.1] * 2 * n_in)
    g.tensor(name + ".lora_b", [2, n_out], [0.1] * 2 * n_out)
put("lora", "two", g.bytes())
for path in glob.glob("tests/vectors/templates/*.jinja"):
    with open(path, "rb") as f:
        template = f.read()
    for flags in (0, 1, 5, 33):
        put("template", f"{os.path.basename(path)}-{flags}", bytes([flags]) + template + b"\0".join([b"", b"Be brief.", b"", b"hello <think>", b"", b"<think>x</think>hi", b"hm", b"and?"]))
texts = ["Hello, world's 12345\n\n  x", "<|im_start|>user\nhi<|im_end|>", "naïve 東京 👩‍👩‍👧 e\u0301 ", "\tif (x) {\n\t\treturn 1;\n\t}\n"]
for i, t in enumerate(texts + [e.decode("latin-1") for e in tiny.ESCAPES]):
    raw = t.encode() if i < len(texts) else tiny.ESCAPES[i - len(texts)]
    put("tokenizer", str(i), raw)
    put("sanitize", str(i), b"\x02a" + raw + b"z")
put("markdown", "all", b"\x07\x28# T\n\npara *em* **b** `c` [l](http://x) \\(x\\)\n\n- a\n  - b\n1. c\n\n> q\n\n```c\nint x;\n```\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\n$$x^2$$\n")
put("keys", "all", b"\x03ab\x1b[A\x1bOP\x1b[200~paste\r\n\x1b[201~\x1b[<0;3;4M\x1b[<0;3;4m\x1ba\x1b[1;5C\x1b[13;2u\x1b\xc3\xa9\x7f\x01")
put("ini", "settings", "[ponder]\nbudget = 30s\ntemp = 0.5 ; warm\nmodel = smollm2-135m\nseed = 7\nmouse = off\n")
for path in glob.glob("themes/*.ini"):
    with open(path, "rb") as f:
        put("ini", os.path.basename(path), f.read())
put("control", "all", "budget 200\nbudget 30s\nbudget unlimited\nanswer\nmore\npause\nresume\nsay look again\nstop\nnonsense\n")
put("import", "sharegpt", json.dumps([{"id": "1", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "<think>x</think>ho"}]}]))
put("import", "openai", json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho", "reasoning_content": "hm"}]}) + "\n")
put("import", "claude", json.dumps([{"uuid": "u", "name": "n", "chat_messages": [{"uuid": "a", "sender": "human", "text": "hi"}, {"uuid": "b", "sender": "assistant", "text": "ho"}]}]))
put("import", "chatgpt", json.dumps([{"id": "c", "title": "t", "current_node": "2", "mapping": {
    "0": {"id": "0", "parent": None, "children": ["1"], "message": None},
    "1": {"id": "1", "parent": "0", "children": ["2"], "message": {"author": {"role": "user"}, "create_time": 1.5, "content": {"content_type": "text", "parts": ["hi"]}}},
    "2": {"id": "2", "parent": "1", "children": [], "message": {"author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["ho"]}}}}}]))
put("import", "openwebui", json.dumps([{"id": "w", "title": "t", "chat": {"history": {"currentId": "b", "messages": {
    "a": {"id": "a", "parentId": None, "role": "user", "content": "hi"}, "b": {"id": "b", "parentId": "a", "role": "assistant", "content": "ho"}}}}}]))
