"""Exports through TRL's own preprocessing: which tokens are trained, token by token. Speaks TAP.

Tokenizers are made from the vocabularies in tests/vectors, templates from tests/vectors/templates, and models are tiny ones with random
weights: what counts is what the trainers make of the data, not what they would learn.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", CUDA_VISIBLE_DEVICES="", WANDB_DISABLED="true",
                  TOKENIZERS_PARALLELISM="false")
import torch
import trl
from datasets import load_dataset
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast, logging
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

logging.set_verbosity_error()
torch.set_num_threads(1)
PONDER = os.environ.get("PONDER", "build/ponder")
n, bad = 0, 0


def check(name, good, why=""):
    global n, bad
    n += 1
    bad += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name), flush=True)
    if not good:
        print("# " + str(why)[:3000].replace("\n", "\n# "))


# ---- tokenizers ---------------------------------------------------------------------------------------------------


def gguf_metadata(path):
    """The key-value pairs of a GGUF file."""
    b = open(path, "rb").read()
    at = 24
    kinds = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

    def take(fmt):
        nonlocal at
        v = struct.unpack_from(fmt, b, at)[0]
        at += struct.calcsize(fmt)
        return v

    def value(kind):
        nonlocal at
        if kind == 8:
            size = take("<Q")
            at += size
            return b[at - size:at].decode("utf-8", "replace")
        if kind == 9:
            inner, count = take("<I"), take("<Q")
            return [value(inner) for _ in range(count)]
        return take(kinds[kind])

    out = {}
    for _ in range(struct.unpack_from("<Q", b, 16)[0]):
        key = value(8)
        out[key] = value(take("<I"))
    return out


def tokenizer(vocab, template):
    m = gguf_metadata("tests/vectors/%s.gguf" % vocab)
    tokens = m["tokenizer.ggml.tokens"]
    types = m.get("tokenizer.ggml.token_type", [1] * len(tokens))
    merges = [tuple(x.split(" ")) for x in m["tokenizer.ggml.merges"]]
    t = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=merges))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x, k in zip(tokens, types) if k == 3])
    t.add_tokens([AddedToken(x, special=False, normalized=False) for x, k in zip(tokens, types) if k == 4])
    eos = tokens[m["tokenizer.ggml.eos_token_id"]]
    if template.startswith("qwen"):
        t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in ("<|im_start|>", "<|im_end|>")])
        t.add_tokens([AddedToken(x, special=False, normalized=False) for x in ("<think>", "</think>")])
        eos = "<|im_end|>"
    out = PreTrainedTokenizerFast(tokenizer_object=t, eos_token=eos, pad_token=eos if "smol" in vocab else "<|endoftext|>" if "<|endoftext|>" in tokens else eos,
                                  bos_token=tokens[m["tokenizer.ggml.bos_token_id"]])
    out.chat_template = open("tests/vectors/templates/%s.jinja" % template, encoding="utf-8").read()
    return out


def tiny(tok, reward=False):
    c = LlamaConfig(vocab_size=len(tok), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1,
                    pad_token_id=tok.pad_token_id, eos_token_id=tok.eos_token_id, bos_token_id=tok.bos_token_id, num_labels=1)
    return LlamaForSequenceClassification(c) if reward else LlamaForCausalLM(c)


# ---- the record ---------------------------------------------------------------------------------------------------

CHOSEN, REJECTED, QUESTION = "a THOUGHTGOOD 5+6", "a THOUGHTBAD 5*6", "How many balls?"


def make_record(path):
    open(path, "w").close()
    subprocess.run([PONDER, "rate", "m1", "--answer", "up", "--db", path], capture_output=True)
    import sqlite3
    db = sqlite3.connect(path)
    db.execute("INSERT INTO conversations(title, created_ms, updated_ms, leaf) VALUES('t', 1, 1, NULL)")
    db.execute("INSERT INTO messages(conversation, role, active, created_ms, text) VALUES(1, 'user', 1, 1, ?)", (QUESTION,))
    for i, (thought, answer, rating) in enumerate(((CHOSEN, "Eleven balls.", 1), (REJECTED, "Thirty balls.", -1))):
        db.execute("INSERT INTO messages(conversation, parent, role, active, created_ms, text, thought) VALUES(1, 1, 'assistant', ?, 1, ?, ?)", (1 - i, answer, thought))
        db.execute("INSERT INTO replies(message, model, family, system, ended, answer_ended) VALUES(?, 'Tiny', 'qwen3', '', 'natural', 'complete')", (i + 2,))
        db.execute("INSERT INTO ratings(message, part, value, rated_ms) VALUES(?, 'answer', ?, 1)", (i + 2, rating))
    db.execute("UPDATE conversations SET leaf = 2")
    db.execute("INSERT INTO message_index(message_index) VALUES('rebuild')")
    db.commit()


def main():
    work = tempfile.mkdtemp()
    db = work + "/r.db"
    make_record(db)
    count = 0

    def data(fmt, reasoning, template):
        nonlocal count
        count += 1
        path = "%s/%d.jsonl" % (work, count)
        subprocess.run([PONDER, "export", "--db", db, "--format", fmt, "--reasoning", reasoning, "--template", template, "-o", path], check=True, capture_output=True)
        return load_dataset("json", data_files=path, cache_dir=work + "/cache")["train"]

    common = dict(output_dir=work + "/out", use_cpu=True, report_to=[], bf16=False, per_device_train_batch_size=2, max_length=512)

    def trained(row, tok):
        ids = row["input_ids"]
        labels = row.get("labels")
        if labels is None:
            mask = row.get("assistant_masks", row.get("completion_mask", [1] * len(ids)))
            labels = [i if k else -100 for i, k in zip(ids, mask)]
        return tok.decode([i for i, l in zip(ids, labels) if l != -100]), tok.decode(ids)

    # TRL marks what the assistant says in templates that it knows byte for byte: its own copies
    known = tokenizer("deepseek-r1-qwen-vocab", "qwen3")
    known.chat_template = open(os.path.join(os.path.dirname(trl.__file__), "chat_templates", "qwen3.jinja"), encoding="utf-8").read()
    qwen, r1, smol = tokenizer("deepseek-r1-qwen-vocab", "qwen3"), tokenizer("deepseek-r1-qwen-vocab", "deepseek-r1-distill-qwen"), tokenizer("smollm2-vocab", "smollm2")
    check("tokenizers give the text back", all(t.decode(t(QUESTION + CHOSEN, add_special_tokens=False)["input_ids"]) == QUESTION + CHOSEN for t in (qwen, r1, smol)))
    think = "<think>\n%s\n</think>\n\nEleven balls." % CHOSEN
    #       format    reasoning  template                     tokenizer  assistant only   what must be trained, or None: no thought in it
    cases = [("sft", "field", "qwen3", known, True, think), ("sft", "inline", "qwen3", known, True, think), ("sft", "strip", "qwen3", known, True, None),
             ("sft-pc", "field", "qwen3", qwen, False, think), ("sft-pc", "text", "qwen3", qwen, False, think), ("sft", "text", "qwen3", qwen, False, think),
             ("sft-pc", "inline", "smollm2", smol, False, think), ("sft-pc", "text", "smollm2", smol, False, think), ("sft-pc", "strip", "smollm2", smol, False, None),
             ("sft-pc", "text", "deepseek-r1-distill-qwen", r1, False, CHOSEN + "\n</think>\n\nEleven balls."),
             ("sft-pc", "field", "deepseek-r1-distill-qwen", r1, False, None), ("sft-pc", "inline", "deepseek-r1-distill-qwen", r1, False, None)]
    for fmt, reasoning, template, tok, only, want in cases:
        name = "SFT of %s, thoughts as %s, with %s" % (fmt, reasoning, template)
        try:
            t = SFTTrainer(model=tiny(tok), processing_class=tok, train_dataset=data(fmt, reasoning, template), args=SFTConfig(assistant_only_loss=only, packing=False, **common))
            row = t.train_dataset[0]
            text, whole = trained(row, tok)
            ids = row["input_ids"]
            one_bos = not (ids[0] == ids[1] == tok.bos_token_id) and not (len(ids) > 1 and ids[-1] == tok.eos_token_id and tok.eos_token_id in ids[-3:-1])
            if want is None:
                check(name + ": no thought is trained, the answer is", "THOUGHT" not in text and "Eleven balls." in text, text)
            else:
                whole_text = fmt == "sft" and reasoning == "text"
                check(name + ": the thought is trained, then the answer", want in text and (whole_text or QUESTION not in text), (text, whole))
            check(name + ": one BOS at most, one end, and what was rated down is not there", one_bos and "THOUGHTBAD" not in whole, whole)
            out = t.compute_loss(t.model, {k: v for k, v in t._prepare_inputs(t.data_collator([row])).items()})
            check(name + ": and gives a loss", bool(torch.isfinite(out)), out)
        except Exception as e:
            check(name, False, repr(e))
    for reasoning, template, tok in (("field", "qwen3", qwen), ("strip", "qwen3", qwen), ("text", "deepseek-r1-distill-qwen", r1), ("inline", "smollm2", smol)):
        name = "DPO, thoughts as %s, with %s" % (reasoning, template)
        try:
            t = DPOTrainer(model=tiny(tok), ref_model=tiny(tok), processing_class=tok, train_dataset=data("dpo", reasoning, template), args=DPOConfig(**common))
            row = t.train_dataset[0]
            texts = {k: tok.decode(row[k]) for k in row if k.endswith("_ids")}
            chosen, rejected, prompt = texts["chosen_ids"], texts["rejected_ids"], texts["prompt_ids"]
            kept = reasoning != "strip"
            check(name + ": each side holds its own thought, and the prompt none", ("THOUGHTGOOD" in chosen) == kept and ("THOUGHTBAD" in rejected) == kept and
                  "Eleven" in chosen and "Thirty" in rejected and "THOUGHT" not in prompt and QUESTION in prompt and QUESTION not in chosen, texts)
        except Exception as e:
            check(name, False, repr(e))
    for reasoning, template, tok in (("field", "qwen3", qwen), ("text", "deepseek-r1-distill-qwen", r1), ("strip", "smollm2", smol)):
        name = "KTO, thoughts as %s, with %s" % (reasoning, template)
        try:
            t = KTOTrainer(model=tiny(tok), ref_model=tiny(tok), processing_class=tok, train_dataset=data("kto", reasoning, template), args=KTOConfig(**common))
            rows = [t.train_dataset[i] for i in range(len(t.train_dataset))]
            by_label = {r["label"]: tok.decode(next(r[k] for k in ("completion_ids", "completion_input_ids", "answer_input_ids", "input_ids") if k in r)) for r in rows}
            kept = reasoning != "strip"
            check(name + ": good and bad with their thoughts", ("THOUGHTGOOD" in by_label[True]) == kept and ("THOUGHTBAD" in by_label[False]) == kept and
                  "Eleven" in by_label[True] and "Thirty" in by_label[False], by_label)
        except Exception as e:
            check(name, False, repr(e))
    for reasoning, template, tok in (("field", "qwen3", qwen), ("strip", "qwen3", qwen)):
        name = "reward model, thoughts as %s, with %s" % (reasoning, template)
        try:
            t = RewardTrainer(model=tiny(tok, True), processing_class=tok, train_dataset=data("reward", reasoning, template), args=RewardConfig(**common))
            row = t.train_dataset[0]
            chosen, rejected = (tok.decode(next(row[k] for k in (side + "_ids", side + "_input_ids", "input_ids_" + side) if k in row)) for side in ("chosen", "rejected"))
            kept = reasoning != "strip"
            check(name + ": both with their thoughts and the margin", ("THOUGHTGOOD" in chosen) == kept and ("THOUGHTBAD" in rejected) == kept and row["margin"] == 1.0, (chosen, rejected))
        except Exception as e:
            check(name, False, repr(e))
    print("1..%d" % n)
    subprocess.run(["rm", "-rf", work])
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
