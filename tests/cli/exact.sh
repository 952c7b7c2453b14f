#!/bin/sh
# What must not depend on how it is computed: log-probabilities stay nearer to exact arithmetic than llama.cpp's, in every kernel family, in the prompt
# pass and one token at a time, and neither they nor a greedy reply change with the number of threads. PONDER_QUICK keeps to the family in use;
# PONDER_LONG adds scalar kernels and the larger model, minutes each.
. "$(dirname "$0")/lib/tap.sh"
if [ ! -f "$SMOL" ]; then skip "exactness" "the default model is not here (make model)"; finish; fi
vectors=tests/vectors/logprobs
export PYTHONDONTWRITEBYTECODE=1
near() { # NAME MODEL VECTORS [ARGUMENT]...
    name=$1 model=$2 file=$3
    shift 3
    if out=$(python3 tests/bench/kld.py "$file" "$PONDER" inspect logits -m "$model" --top 320 "$@" 2>&1); then ok "$name"; else not_ok "$name" "$out"; fi
}
small() { near "$1" "$SMOL" $vectors-smollm2-135m-q4_1.jsonl.gz $2; }

like "the measure itself fails where all tokens are as good as another" "$(
    python3 tests/bench/kld.py $vectors-smollm2-135m-q4_1.jsonl.gz python3 -c '
import math, sys
for line in sys.stdin: print([[[i, math.log(1 / 49152)] for i in range(320)] for _ in line.split()])'; echo "exit $?")" 'exit 1$'
like "and refuses what are no log-probabilities" "$( (
    python3 tests/bench/kld.py $vectors-smollm2-135m-q4_1.jsonl.gz python3 -c '
import sys
for line in sys.stdin: print([[[i, -0.1] for i in range(320)] for _ in line.split()])' 2>&1; echo "exit $?") | tr '\n' ' ')" 'add up exit 2 $'

used=$("$PONDER" doctor --json | python3 -c 'import json,sys; print(next(f["text"] for f in json.load(sys.stdin) if f["what"] == "kernels"))')
like "kernels are in use" "$used" "^(scalar|avx2|avx512|amx)\$"
families=$used
[ -n "$PONDER_QUICK" ] || families="amx avx512 avx2"
[ -z "$PONDER_LONG" ] || families="$families scalar"
for k in $families; do
    export PONDER_KERNELS=$k
    if ! "$PONDER" doctor | grep -q "kernels  *$k\$"; then skip "$k kernels" "this machine has none"; continue; fi
    small "$k kernels, prompt: near to exact" ""
    [ -n "$PONDER_QUICK" ] || small "$k kernels, a token at a time: near to exact" --decode
done
unset PONDER_KERNELS
if [ -n "$PONDER_LONG" ] && [ -f "$BIG" ]; then
    near "1.5B model, prompt: near to exact" "$BIG" $vectors-qwen2.5-coder-1.5b-q4_k_m.jsonl.gz
    near "1.5B model, a token at a time: near to exact" "$BIG" $vectors-qwen2.5-coder-1.5b-q4_k_m.jsonl.gz --decode
fi

threads=2
[ -n "$PONDER_QUICK" ] || threads="2 3 5"
ids=$(python3 -c 'print(*[(i * 7919 + 3) % 40000 + 100 for i in range(77)])')
logits() { echo "$ids" | "$PONDER" inspect logits -m "$SMOL" --top 50 "$@" | cksum; }
one=$(logits -t 1)
for t in $threads; do is "prompt: $t threads give the numbers of one" "$(logits -t $t)" "$one"; done
one=$(logits -t 1 --decode)
for t in $threads; do is "a token at a time: $t threads give the numbers of one" "$(logits -t $t --decode)" "$one"; done
unlike "the two passes are told apart" "$one" "^$(logits -t 1)\$"

question="Here is a list of animals: $(seq -s ', the animal number ' 1 90). Tell in your own words what a list is, and write a short story about one of the animals."
reply() { "$PONDER" ask -m "$SMOL" --private --temp 0 --budget 48 --answer-max 48 "$@" "$question" 2>&1 </dev/null; }
for k in $families; do
    [ "$k" != scalar ] || continue
    export PONDER_KERNELS=$k
    "$PONDER" doctor | grep -q "kernels  *$k\$" || continue
    one=$(reply --threads 1)
    like "$k kernels: a greedy reply" "$one" '[[:alpha:]]{3}.*[[:alpha:]]{3}'
    is "$k kernels: the same text from two threads" "$(reply --threads 2)" "$one"
done
finish
