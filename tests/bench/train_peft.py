#!/usr/bin/env python3
"""What tests/bench/train.c measures, by PyTorch and PEFT on a model of SmolLM2-135M's shape: train_peft.py f32|bf16 [TOKENS [LENGTH]].

Needs torch, transformers, peft.
"""
import os
import resource
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

kind = sys.argv[1]
tokens, length = (int(v) for v in (sys.argv[2:] + ["1024", "256"][len(sys.argv) - 2:]))
torch.set_num_threads(len(os.sched_getaffinity(0)))
model = LlamaForCausalLM(LlamaConfig(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                                     num_key_value_heads=3, rms_norm_eps=1e-5, tie_word_embeddings=True, max_position_embeddings=8192))
names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=names)).to(torch.bfloat16 if kind == "bf16" else torch.float32)
values = [p for p in model.parameters() if p.requires_grad]
optimiser = torch.optim.AdamW(values, lr=1e-3)
ids = torch.randint(100, 40000, (tokens // length, length))
labels = ids.clone()
labels[:, :length // 2 + 1] = -100
best = 0
for _ in range(4):
    since = time.time()
    model(input_ids=ids, labels=labels).loss.backward()
    torch.nn.utils.clip_grad_norm_(values, 1.0)
    optimiser.step()
    optimiser.zero_grad()
    best = max(best, ids.numel() / (time.time() - since))
print(f"PEFT {kind}: {best:.0f} tokens/s, best of 4, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
