#!/bin/sh
# ponder eval: a small measurement with the default model, alone and with an adapter; the same twice; files that cannot be used; usage.
. "$(dirname "$0")/lib/tap.sh"
ev() { "$PONDER" eval "$@"; }
usage() { name=$1; shift; out=$(ev "$@" 2>&1 </dev/null); rc=$?; is "$name" "$rc $(printf '%s\n' "$out" | wc -l)" "2 1"; }
usage "no file"
usage "two files" a.ini b.ini
usage "an unknown option" --nothing
usage "an option without a value" a.ini -o
usage "a count that is none" a.ini --count x
usage "an unknown run" a.ini --only both
out=$(ev "$T/none.ini" 2>&1); is "a file that is not there" "$?" 3
printf '[eval]\ncolor = red\n' >"$T/bad.ini"
out=$(ev "$T/bad.ini" 2>&1); rc=$?
is "a bad setting: exit code" $rc 3
like "a bad setting: where" "$out" 'bad.ini:2: there is no setting "color"'
printf '[eval]\ncount = 0\n' >"$T/empty.ini"
out=$(ev "$T/empty.ini" 2>&1); like "nothing to ask" "$? $out" '^3 .*nothing to ask'
# what is shipped is in order
root=$(cd "$(dirname "$0")/../.." && pwd)
is "the shipped questions" "$(python3 - "$root/models/reasoning-gym.jsonl" <<'EOF'
import json, sys
checks = "number word text list digits fraction expression letters time".split()
items = [json.loads(l) for l in open(sys.argv[1])]
print(len({i["family"] for i in items}), all(i["check"] in checks and i["question"] and i["answer"] for i in items))
EOF
)" "14 True"
out=$(python3 -c 'import json,sys
for l in sys.stdin:
    o=json.loads(l); o["reply"]="The answer is "+o["answer"]+"."; print(json.dumps(o))' <"$root/models/reasoning-gym.jsonl" | "$PONDER" tasks verify 2>&1 >/dev/null)
is "its answers are right" "$out" "112 of 112 right"
if [ ! -r "$SMOL" ]; then skip "a measurement" "the default model is not there"; finish; fi
head -c 1500 "$root/models/eval-text.txt" >"$T/text.txt"
cat >"$T/e.ini" <<EOF
[eval]
model = $SMOL
families = coin, letters
level_max = 1
count = 1
budgets = 0,16
base_budgets = off,16
votes = 2
answer_max = 12
text = text.txt
adapter = nothing.gguf
EOF
ev "$T/e.ini" -o "$T/a.csv" --replies "$T/a.jsonl" >"$T/a.out" 2>"$T/a.err"
is "exit code" $? 0
like "an adapter that is not there is told" "$(cat "$T/a.err")" 'nothing.gguf is not there: the model alone is measured'
is "replies: two budgets and two voices each" "$(wc -l <"$T/a.jsonl")" 8
is "CSV" "$(wc -l <"$T/a.csv")" 9
like "a table" "$(cat "$T/a.out")" '^coin  *1  \|'
like "a plot" "$(cat "$T/a.out")" '^  *16  *1  [█░]'
like "perplexity" "$(cat "$T/a.out")" 'perplexity of ordinary text *[1-9][0-9]*\.'
is "every thought is closed once" "$(grep -c 'exactly one closed thought, and an answer *100.00 %' "$T/a.out")" 1
ev "$T/e.ini" --threads 1 --replies "$T/b.jsonl" >"$T/b.out" 2>/dev/null
is "again, with another number of threads: the same" "$(sort "$T/a.jsonl" >"$T/1"; sort "$T/b.jsonl" >"$T/2"; cmp -s "$T/1" "$T/2" && echo same)" same
ev "$T/e.ini" --only adapter >/dev/null 2>"$T/c.err"; is "no adapter to measure" "$?" 3
finish
