#!/usr/bin/env python3
"""Records what PyTorch and PEFT make of ten optimiser steps, for tests/unit/model_train.c.

    PONDER_TRAIN_DUMP=DIR build/tests/model_train       writes DIR/model.gguf and DIR/adapter.gguf, the tiny model and the first values
    python3 tests/train/record_peft.py DIR >tests/vectors/train-peft.txt

Needs torch, transformers, peft, gguf. The batches, the loss (mean over learnt tokens) and the schedule are those of the test.
"""
import math
import sys

import torch
from gguf import GGUFReader, dequantize
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

STEPS, VOCAB, LR, WARMUP, LOWEST = 10, 101, 5e-3, 3, 0.1
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def tensors(path):
    return {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()) for t in GGUFReader(path).tensors}


def build(folder):
    w, a = tensors(folder + "/model.gguf"), tensors(folder + "/adapter.gguf")
    config = Qwen2Config(vocab_size=VOCAB, hidden_size=36, intermediate_size=44, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                         rms_norm_eps=1e-5, tie_word_embeddings=False, attn_implementation="eager", max_position_embeddings=64,
                         rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    model = Qwen2ForCausalLM(config).float()
    state = {"model.embed_tokens.weight": w["token_embd.weight"], "lm_head.weight": w["output.weight"], "model.norm.weight": w["output_norm.weight"]}
    for i in range(2):
        for short, long in NAMES.items():
            state[f"model.layers.{i}.{long}.weight"] = w[f"blk.{i}.{short}.weight"]
        for short in ("attn_q", "attn_k", "attn_v"):
            state[f"model.layers.{i}.{NAMES[short]}.bias"] = w[f"blk.{i}.{short}.bias"]
        state[f"model.layers.{i}.input_layernorm.weight"] = w[f"blk.{i}.attn_norm.weight"]
        state[f"model.layers.{i}.post_attention_layernorm.weight"] = w[f"blk.{i}.ffn_norm.weight"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and not missing, (missing, unexpected)
    rank = a["blk.0.attn_q.weight.lora_a"].shape[0]
    model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=8, lora_dropout=0.0, bias="none", target_modules=[n.split(".")[1] for n in NAMES.values()]))
    for i in range(2):
        for short, long in NAMES.items():
            module = model.base_model.model.get_submodule(f"model.layers.{i}.{long}")
            with torch.no_grad():
                module.lora_A["default"].weight.copy_(a[f"blk.{i}.{short}.weight.lora_a"])
                module.lora_B["default"].weight.copy_(a[f"blk.{i}.{short}.weight.lora_b"])
    return model


def batch(step):
    """Two sequences a step: ids and whether each is learnt."""
    out = []
    for s in range(2):
        n = 9 + 5 * s + step % 3
        ids = [(i * i * 7 + 31 * step + 13 * s + i) % VOCAB for i in range(n)]
        out.append((ids, [i > 0 and (i + step + s) % 4 != 0 for i in range(n)]))
    return out


def schedule(step):
    if step < WARMUP:
        return LR * (step + 1) / WARMUP
    return LR * (LOWEST + (1 - LOWEST) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))))


def main():
    model = build(sys.argv[1])
    values = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(values, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    for step in range(STEPS):
        losses, n = [], 0
        for ids, learn in batch(step):
            logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            for i in range(1, len(ids)):
                if learn[i]:
                    losses.append(-logp[i - 1, ids[i]])
                    n += 1
        loss = torch.stack(losses).sum() / n
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(values, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = schedule(step)
        optimiser.step()
        print(f"step {step} {loss.item():.8g} {norm.item():.8g}")
    for i in range(2):
        for short, long in NAMES.items():
            module = model.base_model.model.get_submodule(f"model.layers.{i}.{long}")
            for half, w in (("a", module.lora_A["default"].weight), ("b", module.lora_B["default"].weight)):
                flat = w.detach().flatten()
                for at in (0, len(flat) // 3, len(flat) - 1):
                    print(f"value blk.{i}.{short}.weight.lora_{half} {at} {flat[at].item():.8g}")


main()
