#!/bin/sh
# The default model learns to turn letters round, a family of questions that it does not know: right on held-out ones about one time in ten at the most before, more
# than eight times in ten after a minute of training. Judged by ponder eval. Left out where the speed that is measured first says that training would take
# over four minutes. PONDER_LONG trains on more and asks more.
. "$(dirname "$0")/lib/tap.sh"
name="the default model learns a family"
if [ -n "$PONDER_QUICK" ]; then skip "$name" "takes a minute (make test)"; finish; fi
if [ ! -r "$SMOL" ]; then skip "$name" "the default model is not there (make model)"; finish; fi
items=200 count=30
if [ -n "$PONDER_LONG" ]; then items=600 count=120; fi
python3 - "$T" $items $count <<'P'
import json, random, sys
t, items, count = sys.argv[1], *map(int, sys.argv[2:])
chance, seen = random.Random(11), set()
forms = ["Write these letters backwards: %s", "Put these letters in reverse order: %s", "What is %s from the last letter to the first?"]
def question(i):
    while True:
        s = " ".join(chance.sample("abcdefghijklmnopqrstuvwxyz", chance.choice([3, 4])))
        if s in seen: continue
        seen.add(s)    # no question is asked twice: what is measured was not learnt
        return forms[i % 3] % s, s, s[::-1]
with open(t + "/items.jsonl", "w") as f:
    for q, s, b in map(question, range(items)):
        f.write(json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "reasoning_content": f"Forward: {s}\nBackward: {b}", "content": b}]}) + "\n")
with open(t + "/held.jsonl", "w") as f:
    for q, s, b in map(question, range(count)): f.write(json.dumps({"question": q, "answer": b, "check": "text"}) + "\n")
P
learn() { "$PONDER" train sft --base "$SMOL" --data "$T/items.jsonl" --cot off --max-length 200 --batch 700 --lr 2e-3 "$@" >"$T/out" 2>"$T/err" </dev/null; }
figure() { python3 -c 'import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
print(int(eval(sys.argv[2], {"first": rows[0], "last": rows[-1]})))' "$@"; }

learn -o "$T/try.gguf" --steps 3
is "training begins" "$?" 0
speed=$(figure "$T/try.gguf.jsonl" 'last["tokens_per_s"]') tokens=$(figure "$T/try.gguf.jsonl" 'first["tokens"]')
seconds=$((tokens / (speed > 0 ? speed : 1)))
if [ -z "$PONDER_LONG" ] && [ $seconds -gt 240 ]; then skip "$name" "$speed tokens a second here: training would take $seconds s"; finish; fi
cat >"$T/e.ini" <<END
[eval]
model = $SMOL
adapter = learnt.gguf
adapter_thinks = trained
families = none
budgets = 64
base_budgets = 64
votes = 0
answer_max = 16
[set letters]
file = held.jsonl
END
right() { awk -F, -v run="$1" '$1 == run && $2 == "letters" { print int(100 * $6 / $5) }' "$T/table.csv"; }
start=$(date +%s)
learn -o "$T/learnt.gguf"
is "trained" "$?" 0
trained=$(($(date +%s) - start))
"$PONDER" eval "$T/e.ini" -o "$T/table.csv" --replies "$T/replies" >"$T/out" 2>"$T/err"
is "measured on questions that were not learnt" "$? $(grep -c . "$T/replies")" "0 $((2 * count))"
before=$(right base) after=$(right adapter)
echo "# $before % right before, $after % after $trained s of training on $tokens tokens"
is "before: at most 15 %" "$([ "${before:-100}" -le 15 ] && echo yes || echo "$before %")" yes
is "after: over 80 %" "$([ "${after:-0}" -gt 80 ] && echo yes || echo "$after %")" yes
finish
