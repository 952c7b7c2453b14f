#!/bin/sh
# The recipe's scripts: what ordinary chat becomes, and steps that are done once, go on, and are kept only if they score higher.
. "$(dirname "$0")/lib/tap.sh"
root=$(cd "$(dirname "$0")/../.." && pwd)
r() { printf '{"run":"adapter","family":"sum","question":"%s","answer":"5","thought":"%s","reply":"%s","thought_tokens":%s,"ended":"%s","answer_ended":"complete","right":%s,"voice":1,"budget":"256"}\n' "$@"; }
{ r q1 "2 + 3 = 5" "The answer is 5." 9 natural true
  r q1 "2 + 3 = 5 so" "The answer is 5." 12 natural true
  r q1 "1 + 1 = 2, 2 + 3 = 5, and again 2 + 3 = 5" "The answer is 5." 30 natural true
  r q1 "2 + 3 = 6" "The answer is 6." 9 natural false
  r q2 "cut" "The answer is 5." 9 budget_hard true
  r q3 "4 + 1 = 5" "5" 8 natural true; } >"$T/replies.jsonl"
sed 's/complete/length/;n' "$T/replies.jsonl" >"$T/half.jsonl"
is "chat: whole answers, some of them behind a thought" "$(python3 "$root/models/choose.py" chat "$T/half.jsonl" | python3 -c 'import json,sys
print(*("reasoning_content" in json.loads(l)["messages"][1] for l in sys.stdin))')" "False True True"
is "keep: all replies, as text that is to stay" "$(python3 "$root/models/choose.py" keep "$T/half.jsonl" | python3 -c 'import json,sys
rows=[json.loads(l) for l in sys.stdin]
print(len(rows), all(r["keep"] for r in rows), rows[0]["text"])')" "6 True The answer is 5."
is "prompts: none twice" "$(python3 "$root/models/choose.py" prompts | sort | uniq -d | wc -l)" 0
# a program that takes the same arguments and notes them
cat >"$T/fake" <<'EOF'
#!/bin/sh
echo "$*" >>"$FAKE_LOG"
to() { while [ $# -gt 1 ]; do [ "$1" = "$F" ] && echo "$2"; shift; done; }
case $1 in
tasks) echo '{"messages":[]}' ;;
info) exit 1 ;;
train) [ -n "$FAKE_STOP" ] && exit 130; F=-o; echo adapter >"$(to "$@")" ;;
eval) F=-o; o=$(to "$@"); [ -z "$o" ] || printf 'run,family,budget,votes,questions,correct\nadapter,sum,256,1,10,%s\nadapter,sum,0,1,10,9\nadapter,gym: lcm,256,1,10,9\n' "$FAKE_SCORE" >"$o"
      F=--replies; o=$(to "$@"); [ -z "$o" ] || cp "$FAKE_REPLIES" "$o" ;;
distill) F=--data; printf 'kept\nkept\n' >"$(to "$@")"; F=--pairs; echo pair >"$(to "$@")" ;;
esac
EOF
chmod +x "$T/fake"
export FAKE_LOG="$T/log" FAKE_REPLIES="$T/replies.jsonl" FAKE_SCORE=5
distill() { PONDER="$T/fake" DISTILL="$T/w" "$root/models/distill.sh" "$@" >"$T/out" 2>"$T/err"; }
FAKE_STOP=1 distill cold; is "stopped: the exit code comes through" $? 130
is "stopped: nothing is measured" "$(grep -c '^eval.*/eval.ini' "$T/log")" 0
distill cold; is "called again" $? 0
is "the data are made once" "$(grep -c '^tasks' "$T/log")" 4
is "with what the model itself says" "$(grep -c '^eval.*chat.ini --only base' "$T/log") $(grep -c '^tasks.*--mix' "$T/log")" "1 1"
is "it is taught to think, not asked to" "$(grep '^train' "$T/log" | grep -vc -- '--cot off')" 0
is "it goes on where it was" "$(grep '^train' "$T/log" | grep -c -- --resume)" 2
is "the best score: own families at the largest budget" "$(cat "$T/w/best.score")" 0.5000
distill cold; is "done is done" "$(grep -c '^train' "$T/log")$(grep -c '^eval.*/eval.ini' "$T/log")" 21
FAKE_SCORE=4 distill final; like "a step that is worse is left out" "$(cat "$T/err")" 'final: 0.4000, not better than 0.5000: left out'
is "and the best stays" "$(cat "$T/w/best.score")" 0.5000
is "the union has what was kept" "$(wc -l <"$T/w/union.jsonl")" 5
FAKE_SCORE=6 distill all; like "a better one is kept" "$(cat "$T/err")" 'more: 0.6000, better than 0.5000: kept'
is "what each step came to" "$(tr '\n' ' ' <"$T/w/steps.csv")" "cold,0.5000,0 final,0.4000,0.5000 more,0.6000,0.5000 keep,0.6000,0.6000 wide,0.6000,0.6000 grpo,0.6000,0.6000 dpo,0.6000,0.6000 "
is "replies of the best adapter are sampled once, for both" "$(grep '^distill' "$T/log" | grep -c -- '--adapter .*best.gguf') $(grep -c '^train dpo.*sampled.pairs' "$T/log")" "1 1"
distill nothing; is "no such step" $? 2
finish
