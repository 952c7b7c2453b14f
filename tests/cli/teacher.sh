#!/bin/sh
# ponder distill with a tiny model that was taught to toss a coin: of its own replies the right ones are kept, learnt, and then come; a run that was stopped
# goes on to the same data; what is refused.
. "$(dirname "$0")/lib/tap.sh"
cd "$(dirname "$0")/../.." || exit 1
python3 tests/fault/lib/tiny.py "$T/sharp.gguf" sharp || exit 1
python3 - "$T" <<'P'
import json, sys
t = sys.argv[1]
def put(name, rows):
    with open(t + "/" + name, "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
put("coin.jsonl", [{"messages": [{"role": "user", "content": f"toss {q}"}, {"role": "assistant", "content": "12"[i % 2], "reasoning_content": "xyz"[q % 3] * (1 + i // 2 % 2)}]}
                   for i in range(16) for q in "abcdef".encode()])
put("toss.jsonl", [{"question": f"toss {q}", "answer": "1", "check": "number", "family": "toss"} for q in "abcdef".encode()])
P
tiny="--rank 8 --batch 900 --at-once 600 --max-length 300 --threads 1"
"$PONDER" train sft --base "$T/sharp.gguf" --data "$T/coin.jsonl" -o "$T/coin.gguf" $tiny --lr 0.01 --epochs 8 >/dev/null 2>"$T/err" </dev/null || cat "$T/err"
# ADAPTER DATA [OPTION...]: replies of the model with it
distill() { adapter=$1 data=$2; shift 2; "$PONDER" distill --teacher "$T/sharp.gguf" --adapter "$adapter" --tasks "$T/toss.jsonl" --data "$data" --temp 1 --budget 60 --answer-max 8 \
    --samples 16 --keep 2 --threads 1 "$@" >"$T/out" 2>"$T/err" </dev/null; }
count() { python3 -c 'import json,sys
rows = [r for r in map(json.loads, open(sys.argv[1])) if "item" in r]
print(sum(r["right"] for r in rows) * 100 // len(rows))' "$1"; }

distill "$T/coin.gguf" "$T/a.jsonl" --pairs "$T/pairs.jsonl"
is "it ends well" "$?" 0
like "and says what it came to" "$(cat "$T/err")" '^96 replies to 6 questions: [0-9]+ right, [0-9]+ of them whole; [0-9]+ kept, of 6 questions: .*a.jsonl; [0-9]+ pairs: .*pairs.jsonl$'
before=$(count "$T/a.jsonl.replies")
is "the teacher is right about half the time" "$([ "$before" -gt 20 ] && [ "$before" -lt 80 ] && echo yes || echo "$before %")" yes
python3 - "$T" >"$T/kept" <<'P'
import json, sys
t = sys.argv[1]
data, pairs, replies = ([json.loads(l) for l in open(t + "/" + n)] for n in ("a.jsonl", "pairs.jsonl", "a.jsonl.replies"))
says = [r["messages"][1] for r in data]
print("right" if all(m["content"].strip() == "1" for m in says) else says)
print("distinct" if len({(r["messages"][0]["content"], r["messages"][1]["reasoning_content"]) for r in data}) == len(data) else data)
good = [r for r in replies[1:] if r["right"] and r["whole"]]
tokens = {(r["question"], r["thought"]): r["thought_tokens"] for r in good}
kept = {}
for r in data: kept.setdefault(r["messages"][0]["content"], []).append(tokens[r["messages"][0]["content"], r["messages"][1]["reasoning_content"]])
print("short" if all(k == sorted(k) and k[0] == min(r["thought_tokens"] for r in good if r["question"] == q) for q, k in kept.items()) else kept)
print("pairs" if pairs and all(p["chosen"][0]["content"].strip() == "1" != p["rejected"][0]["content"].strip() for p in pairs) else pairs)
P
is "what is kept: right, each way once, shortest first; pairs of right and wrong" "$(tr '\n' ' ' <"$T/kept")" "right distinct short pairs "
is "replies and data are for the user alone" "$(stat -c %a "$T/a.jsonl" "$T/a.jsonl.replies" "$T/pairs.jsonl" | tr '\n' ' ')" "600 600 600 "

# a run that was killed: some replies are there, the last half written
cp "$T/a.jsonl.replies" "$T/b.jsonl.replies"
size=$(wc -c <"$T/b.jsonl.replies")
head -c $((size * 2 / 5)) "$T/a.jsonl.replies" >"$T/b.jsonl.replies"
distill "$T/coin.gguf" "$T/b.jsonl"
like "replies of before are not thrown away unasked" "$? $(cat "$T/err")" '^2 .*--resume.*--restart'
distill "$T/coin.gguf" "$T/b.jsonl" --resume --seed 2
like "nor is gone on with other options" "$? $(cat "$T/err")" '^1 .*other options'
distill "$T/coin.gguf" "$T/b.jsonl" --resume --threads 2
is "killed and resumed, with another number of threads: the same data" "$? $(cmp "$T/a.jsonl" "$T/b.jsonl" && echo same)" "0 same"
like "only the missing replies were written" "$(head -n 1 "$T/err")" '^[1-9][0-9]* of 96 replies are there'
distill "$T/coin.gguf" "$T/b.jsonl" --restart --seed 2
is "another seed, other replies" "$? $(cmp -s "$T/a.jsonl.replies" "$T/b.jsonl.replies" || echo other)" "0 other"
"$PONDER" distill --teacher "$T/sharp.gguf" --adapter "$T/coin.gguf" --tasks "$T/toss.jsonl" --data "$T/c.jsonl" --temp 1 --budget 60 --samples 64 --keep 2 --threads 1 >/dev/null 2>"$T/err" </dev/null &
pid=$!
while kill -0 $pid 2>/dev/null && [ "$({ wc -l <"$T/c.jsonl.replies"; } 2>/dev/null || echo 0)" -lt 20 ]; do sleep 0.01; done
kill -INT $pid 2>/dev/null; wait $pid; code=$?
if [ -f "$T/c.jsonl" ]; then skip "Ctrl-C" "the run was over before it"; else like "Ctrl-C keeps what is there" "$code $(cat "$T/err")" '^130 [1-9][0-9]* replies are kept; --resume goes on'; fi

# the student learns what was right, in one command
distill "$T/coin.gguf" "$T/d.jsonl" --student "$T/sharp.gguf" --init "$T/coin.gguf" -o "$T/taught.gguf" --rank 8 --batch 900 --at-once 600 --max-length 300 --lr 0.003 --epochs 12
like "sampled and trained" "$? $(cat "$T/out")" '^0 .*taught.gguf: [0-9]+ steps, loss'
distill "$T/taught.gguf" "$T/e.jsonl"
after=$(count "$T/e.jsonl.replies")
is "the student is right where the teacher was by chance" "$([ "$after" -ge 90 ] && echo yes || echo "$before % before, $after % after")" yes

python3 tests/fault/lib/tiny.py "$T/smollm.gguf" smollm
"$PONDER" train sft --base "$T/smollm.gguf" --data "$T/coin.jsonl" -o "$T/own.gguf" --rank 2 --steps 1 --cot off --max-length 300 >/dev/null 2>"$T/err" </dev/null
ask() { "$PONDER" distill --teacher "$T/smollm.gguf" --adapter "$T/own.gguf" --tasks "$T/toss.jsonl" --data "$T/g.jsonl" --budget 4 --answer-max 2 --samples 1 --restart "$@" >/dev/null 2>&1 </dev/null; }
ask; like "a teacher thinks as its adapter was taught to" "$(head -n 1 "$T/g.jsonl.replies")" 'thinks smollm2-think;'
ask --teacher-cot step; like "unless it is told to" "$(head -n 1 "$T/g.jsonl.replies")" 'thinks smollm2;'

is "no question of the held-out half is asked" "$(
    "$PONDER" distill --teacher "$T/sharp.gguf" --tasks coin --level 1 --count 30 --samples 1 --budget 2 --answer-max 2 --data "$T/f.jsonl" >/dev/null 2>&1
    "$PONDER" tasks --family coin --level 1 --count 400 --half held-out --format questions | python3 -c 'import json,sys
held = {json.loads(l)["question"] for l in sys.stdin}
asked = [r["question"] for r in map(json.loads, open(sys.argv[1])) if "item" in r]
print(len(asked), len(held & set(asked)))' "$T/f.jsonl.replies")" "30 0"
refused() { name=$1 want=$2; shift 2; out=$("$PONDER" distill "$@" 2>&1 </dev/null); like "$name" "$? $(printf '%s\n' "$out" | wc -l) $out" "$want"; }
refused "no teacher" '^2 .*--teacher MODEL is missing' --tasks sum --data "$T/x"
refused "no tasks" '^2 .*--tasks .* is missing' --teacher x --data "$T/x"
refused "nowhere to write" '^2 .*-o ADAPTER.gguf or --data' --teacher x --tasks sum
refused "nobody to teach" '^2 .*--student MODEL is missing' --teacher x --tasks sum -o "$T/x.gguf"
refused "no such family" '^2 1 .*"nothing" is no family' --teacher "$T/sharp.gguf" --tasks sum,nothing --data "$T/x"
refused "no such level" '^2 1 .*--level' --level 3..1
refused "a number that is none" '^2 1 .*--samples takes a whole number' --samples many
refused "an option of other training" '^2 .*--beta' --beta 1
is "and nothing was written" "$(ls "$T"/x* 2>/dev/null)" ""
finish
