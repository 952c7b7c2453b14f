#!/bin/sh
# ponder train on a tiny model: what is learnt, what is written, a run that is stopped and goes on, data that cannot be used.
. "$(dirname "$0")/lib/tap.sh"
cd "$(dirname "$0")/../.." || exit 1
python3 tests/fault/lib/tiny.py "$T/tiny.gguf" && python3 tests/fault/lib/tiny.py "$T/sharp.gguf" sharp || exit 1
train() { kind=$1; shift; "$PONDER" train "$kind" --base "$T/tiny.gguf" --rank 4 --batch 900 --at-once 600 --max-length 300 --lr 0.01 --threads 2 "$@" >"$T/out" 2>"$T/err" </dev/null; }
field() { python3 -c 'import json,sys
rows=[r for r in map(json.loads, open(sys.argv[1])) if sys.argv[2] in r]
print(rows[int(sys.argv[3])][sys.argv[2]])' "$@"; }
python3 - "$T" <<'P'
import json, os, sys
t = sys.argv[1]
def put(name, rows):
    with open(t + "/" + name, "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
ask = lambda i: {"role": "user", "content": f"{i} and {i % 7}"}
say = lambda text, thought=None: {"role": "assistant", "content": text, **({"reasoning_content": thought} if thought else {})}
os.mkdir(t + "/folder")
put("folder/train.jsonl", [{"messages": [ask(i), say("yes." if i % 2 else "no!", "odd" if i % 2 else "even")]} for i in range(40)])
put("folder/valid.jsonl", [{"messages": [ask(i), say("yes." if i % 2 else "no!", "odd" if i % 2 else "even")]} for i in range(40, 48)])
put("one.jsonl", [{"prompt": [ask(1)], "completion": [say("abc")]}])
put("text.jsonl", [{"text": "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nabcd<|im_end|>\n"}])
put("keep.jsonl", [{"text": f"{i} and so on and {i * i}", "keep": True} for i in range(40)])
put("dpo.jsonl", [{"prompt": [ask(i)], "chosen": [say("good")], "rejected": [say("poor")]} for i in range(16)])
put("kto.jsonl", [{"prompt": [ask(i)], "completion": [say("good" if i % 2 else "poor")], "label": bool(i % 2)} for i in range(16)])
put("coin.jsonl", [{"messages": [{"role": "user", "content": "toss"}, say("1" if i % 2 else "2", "x")]} for i in range(64)])
put("toss.jsonl", [{"question": "toss", "answer": "1", "check": "number"} for i in range(64)])
put("bad5.jsonl", [{"question": "toss", "answer": "1", "check": "whim"}])
put("bad1.jsonl", [{"messages": [ask(1), say("a")]}, {"messages": [ask(1)]}])
put("bad2.jsonl", [{"messages": [ask(1), {"role": "tool", "content": "x"}]}])
open(t + "/bad3.jsonl", "w").write("{\n")
put("bad4.jsonl", [{"prompt": [ask(1)], "completion": [say("a")]}])
P

train sft --data "$T/folder" -o "$T/a.gguf" --epochs 12
is "sft ends well" "$?" 0
like "and says what it came to" "$(cat "$T/out")" "a.gguf: [0-9]+ steps, loss "
python3 - "$T/a.gguf.jsonl" >"$T/fell" <<'P'
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
loss, valid = [r["loss"] for r in rows if "loss" in r], [r["valid_loss"] for r in rows if "valid_loss" in r]
print("yes" if loss[-1] < 0.75 * loss[0] and valid[-1] < 0.75 * valid[0] and len(valid) == 13 else (loss[0], loss[-1], valid))
P
is "the loss falls, also on what was held out, which is tried after every epoch" "$(cat "$T/fell")" yes
is "adapter and log are for the user alone, and no state is left" "$(cd "$T" && stat -c '%n %a' a.gguf* | tr '\n' ' ')" "a.gguf 600 a.gguf.jsonl 600 "
"$PONDER" inspect gguf -m "$T/a.gguf" >"$T/list"
like "the adapter is one as llama.cpp has them" "$(cat "$T/list")" "adapter.type.*lora"
like "with both halves" "$(cat "$T/list")" "blk.1.ffn_down.weight.lora_b"
like "it is taken by --lora" "$("$PONDER" ask -m "$T/tiny.gguf" --lora "$T/a.gguf" --private --seed 1 --answer-max 4 --budget off hello </dev/null 2>&1; echo "code $?")" "code 0"

train sft --data "$T/one.jsonl" -o "$T/b.gguf" --steps 2
is "a reply and what ends it are learnt" "$(field "$T/b.gguf.jsonl" learnt 1)" 4
train sft --data "$T/text.jsonl" -o "$T/b.gguf" --steps 1
is "of text the replies" "$(field "$T/b.gguf.jsonl" learnt 1)" 5
train sft --data "$T/folder" -o "$T/b.gguf" --steps 1 --thought-weight 0 --cot off
a=$(field "$T/b.gguf.jsonl" learnt 0)
train sft --data "$T/folder" -o "$T/b.gguf" --steps 1 --cot off
b=$(field "$T/b.gguf.jsonl" learnt 0)
is "a weight of 0 leaves thoughts out" "$((40 * 4 + 20)) $([ "$b" -gt "$a" ] && echo more)" "$a more"

train sft --data "$T/keep.jsonl" -o "$T/b.gguf" --steps 1
is "an adapter that changes nothing keeps all" "$(field "$T/b.gguf.jsonl" loss 0 | grep -cE '^(-?0\.0|-?[0-9.]+e-)')" 1
train sft --data "$T/keep.jsonl" -o "$T/b.gguf" --init "$T/a.gguf" --epochs 8 --batch 300
python3 - "$T/b.gguf.jsonl" >"$T/kept" <<'P'
import json, sys
loss = [r["loss"] for r in map(json.loads, open(sys.argv[1])) if "loss" in r]
print("yes" if loss[0] > 0.01 and 0 <= loss[-1] < 0.5 * loss[0] else loss)
P
is "one that was taught something else is led back to what the model alone says" "$(cat "$T/kept")" yes

train sft --data "$T/folder" -o "$T/whole.gguf" --steps 8 --f32-file
"$PONDER" train sft --base "$T/tiny.gguf" --rank 4 --batch 900 --at-once 600 --max-length 300 --lr 0.01 --threads 1 --data "$T/folder" -o "$T/cut.gguf" --steps 8 --f32-file \
    --log "$T/pipe.jsonl" >/dev/null 2>&1 </dev/null &
pid=$!
while kill -0 $pid 2>/dev/null && ! grep -q '"step":2' "$T/pipe.jsonl" 2>/dev/null; do sleep 0.01; done
kill -INT $pid 2>/dev/null; wait $pid; code=$?
if [ -f "$T/cut.gguf.state" ]; then
    is "Ctrl-C saves" "$code" 130
    train sft --data "$T/folder" -o "$T/cut.gguf" --steps 8 --f32-file
    like "an unfinished run is not begun anew unasked" "$? $(cat "$T/err")" "^2 .*--resume.*--restart"
    train sft --data "$T/folder" -o "$T/cut.gguf" --steps 8 --f32-file --rank 3 --resume
    like "nor goes on with other options" "$? $(cat "$T/err")" "^1 .*other options"
    train sft --data "$T/folder" -o "$T/cut.gguf" --steps 8 --f32-file --resume
else
    skip "Ctrl-C" "the run was over before it"
fi
is "stopped and resumed, with another number of threads: the same bytes" "$(cmp "$T/whole.gguf" "$T/cut.gguf" && echo same)" same

for kind in dpo kto; do
    train $kind --data "$T/$kind.jsonl" -o "$T/$kind.gguf" --epochs 12 --lr 0.003
    is "$kind: from no margin to telling good from bad" "$? $(field "$T/$kind.gguf.jsonl" margin 0 | cut -c1-3) $(field "$T/$kind.gguf.jsonl" right -1)" "0 0.0 1.0"
done
train sft --base "$T/sharp.gguf" --data "$T/coin.jsonl" -o "$T/coin.gguf" --epochs 12 --rank 8
train grpo --base "$T/sharp.gguf" --data "$T/toss.jsonl" -o "$T/toss.gguf" --init "$T/coin.gguf" --rank 8 --epochs 2 --prompts 4 --reply-max 40 --lr 0.001
is "grpo ends well" "$? $(grep -c error "$T/err")" "0 0"
python3 - "$T/toss.gguf.jsonl" >"$T/rose" <<'P'
import json, sys
right = [r["right"] for r in map(json.loads, open(sys.argv[1])) if "right" in r]
first, last = sum(right[:3]) / 3, sum(right[-3:]) / 3
print("yes" if 0.2 < first < 0.8 and last > 0.9 else right)
P
is "of two replies that came about as often, the right one comes" "$(cat "$T/rose")" yes
grpo() { "$PONDER" train grpo --base "$T/sharp.gguf" --data "$T/toss.jsonl" --init "$T/coin.gguf" --rank 8 --steps 6 --prompts 3 --group 12 --reply-max 40 --lr 0.001 \
    --max-length 300 --f32-file "$@"; }
grpo -o "$T/whole2.gguf" --threads 2 >"$T/out" 2>"$T/err" </dev/null
is "grpo with more replies to a question than are written at once" "$? $(field "$T/whole2.gguf.jsonl" step -1)" "0 6"
"$PONDER" train grpo --base "$T/sharp.gguf" --data "$T/toss.jsonl" --init "$T/coin.gguf" --rank 8 --steps 6 --prompts 3 --group 12 --reply-max 40 --lr 0.001 \
    --max-length 300 --f32-file -o "$T/cut2.gguf" --threads 1 --log "$T/pipe2.jsonl" >/dev/null 2>&1 </dev/null &
pid=$!
while kill -0 $pid 2>/dev/null && ! grep -q '"step":2' "$T/pipe2.jsonl" 2>/dev/null; do sleep 0.01; done
kill -INT $pid 2>/dev/null; wait $pid; code=$?
if [ -f "$T/cut2.gguf.state" ]; then
    is "Ctrl-C saves, in the midst of replies" "$code" 130
    grpo -o "$T/cut2.gguf" --threads 2 --resume >"$T/out" 2>"$T/err" </dev/null
else
    skip "Ctrl-C in grpo" "the run was over before it"
fi
is "grpo stopped and resumed, with another number of threads: the same bytes" "$(cmp "$T/whole2.gguf" "$T/cut2.gguf" && echo same)" same
python3 - "$T/whole2.gguf.jsonl" >"$T/groups" <<'P'
import json, sys
rows = [r for r in map(json.loads, open(sys.argv[1])) if "reward" in r]
print("yes" if all((r["learnt"] == 0) == (r["dropped"] == 3) == (r["norm"] == 0) for r in rows) and any(r["learnt"] for r in rows) else rows)
P
is "groups whose replies are worth the same teach nothing" "$(cat "$T/groups")" yes
like "rewards as a plot" "$("$PONDER" train --plot "$T/toss.gguf.jsonl")" "reward: first 0\.[0-9]+, last [01]\.[0-9]+"
like "and how many were right" "$("$PONDER" train --plot "$T/toss.gguf.jsonl" | tail -n 1)" "right: first [0-9]+ %, last (9[0-9]|100) %\$"
train grpo --data "$T/bad5.jsonl" -o "$T/x.gguf" --reply-max 40; like "an unknown check" "$? $(cat "$T/err")" "^3 .*bad5.jsonl:1: its \"check\" is unknown"
like "the log as a plot" "$("$PONDER" train --plot "$T/a.gguf.jsonl")" "loss: first [0-9.]+, last [0-9.]+; held out"

train sft --data "$T/bad1.jsonl" -o "$T/x.gguf"; like "a conversation without a reply" "$? $(cat "$T/err")" "^3 .*bad1.jsonl:2: has no reply"
train sft --data "$T/bad2.jsonl" -o "$T/x.gguf"; like "an unknown role" "$? $(cat "$T/err")" "^3 .*bad2.jsonl:1: a message's role"
train sft --data "$T/bad3.jsonl" -o "$T/x.gguf"; like "no JSON" "$? $(cat "$T/err")" "^3 .*bad3.jsonl:1: is no JSON"
train kto --data "$T/bad4.jsonl" -o "$T/x.gguf"; like "no label" "$? $(cat "$T/err")" "^3 .*bad4.jsonl:1: its \"label\""
train sft --data "$T/folder" -o "$T/x.gguf" --max-length 5; like "nothing short enough" "$? $(cat "$T/err")" "^3 .*nothing to learn .40 records, 40 longer"
train sft --data "$T/folder" -o "$T/x.gguf" --targets router; like "an unknown matrix" "$? $(cat "$T/err")" "^2 .*router"
train sft --data "$T/folder" -o "$T/x.gguf" --rank 0; like "a rank of 0" "$? $(cat "$T/err")" "^2 .*--rank takes"
printf '{"text":"one two three","keep":"yes"}\n' >"$T/bad6.jsonl"
train sft --data "$T/bad6.jsonl" -o "$T/x.gguf"; like "what is to be kept is a yes or no" "$? $(cat "$T/err")" "^3 .*bad6.jsonl:1: its \"keep\""
train sft -o "$T/x.gguf"; like "no data" "$? $(cat "$T/err")" "^2 .*--data"
train rl; like "an unknown kind" "$? $(cat "$T/err")" "^2 .*rl is none"
is "and nothing was written" "$(ls "$T"/x.gguf* 2>/dev/null)" ""
finish
