#!/bin/sh
# ponder sweep: files of questions that cannot be used, and with the default model accuracy, CSV, repeatability and Ctrl-C.
. "$(dirname "$0")/lib/tap.sh"
sweep() { "$PONDER" sweep -m "$SMOL" "$@"; }
# NAME CONTENT CODE MESSAGE [OPTION...]: refused with one line that names file and line
refused() {
    name=$1; printf "$2" >"$T/q.jsonl"; want=$3; message=$4; shift 4
    out=$("$PONDER" sweep "$T/q.jsonl" -m "$SMOL" "$@" 2>&1 </dev/null); rc=$?
    is "$name: exit code" $rc "$want"
    is "$name: one line" "$(printf '%s\n' "$out" | wc -l)" 1
    like "$name: says so" "$out" "^ponder: $message"
}
good='{"question":"1+1?","answer":2}\n'
refused "no JSON" "$good"'{"question": oops}\n' 3 ".*q.jsonl:2: is no JSON"
refused "no object" "[1,2]\n" 3 ".*q.jsonl:1: is no JSON object"
refused "no question" "\n\n{\"answer\":2}\n" 3 '.*q.jsonl:3: has no "question"'
refused "a question that is a number" '{"question":5,"answer":2}\n' 3 '.*q.jsonl:1: its "question" is no text'
refused "no answer" '{"question":"x"}\n' 3 '.*q.jsonl:1: has no "answer"'
refused "an answer that is a list" '{"question":"x","answer":[1]}\n' 3 '.*q.jsonl:1: its "answer" is neither'
refused "an empty question" '{"question":"  ","answer":1}\n' 3 '.*q.jsonl:1: its question is empty'
refused "an empty answer" '{"question":"x","answer":" "}\n' 3 '.*q.jsonl:1: its answer is empty'
refused "a number that is none" '{"question":"x","answer":"ten"}\n' 3 '.*q.jsonl:1: its answer has no number' --grader number
refused "the same key twice" '{"question":"x","question":"y","answer":1}\n' 3 '.*q.jsonl:1: is no JSON'
refused "bytes that are no UTF-8" '{"question":"\377\376","answer":1}\n' 3 '.*q.jsonl:1: is no JSON'
refused "an escape in a line" '\033]0;x\007\n' 3 '.*q.jsonl:1: is no JSON'
refused "an empty file" '' 3 '.*q.jsonl: has no questions'
refused "blank lines alone" '\n \n\t\n' 3 '.*q.jsonl: has no questions'
printf '{"question":"%s","answer":1}\n' "$(head -c 70000 /dev/zero | tr '\0' a)" >"$T/long.jsonl"
like "a question without end" "$(sweep "$T/long.jsonl" 2>&1)" 'long.jsonl:1: its question is longer'
head -c 3000 /dev/urandom >"$T/noise.jsonl"
out=$(sweep "$T/noise.jsonl" 2>&1); rc=$?
is "noise: exit code" $rc 3
is "noise: no escape bytes" "$(printf '%s' "$out" | tr -dc '\033' | wc -c)" 0
is "a file that is not there" "$(sweep "$T/none.jsonl" >/dev/null 2>&1; echo $?)" 3
printf "$good" >"$T/q.jsonl"
usage() { name=$1; shift; out=$(sweep "$@" 2>&1 </dev/null); rc=$?; is "$name" "$rc $(printf '%s\n' "$out" | wc -l)" "2 1"; }
usage "no file"
usage "two files" "$T/q.jsonl" "$T/q.jsonl"
usage "a budget that is none" "$T/q.jsonl" --budgets 1,x
usage "no budgets" "$T/q.jsonl" --budgets ""
usage "a vote of nobody" "$T/q.jsonl" --votes 0
usage "too many votes" "$T/q.jsonl" --votes 33
usage "an unknown grader" "$T/q.jsonl" --grader magic
usage "a limit of nothing" "$T/q.jsonl" --limit 0
usage "an unknown option" "$T/q.jsonl" --nonsense
usage "an option of the screen" "$T/q.jsonl" --theme dark
usage "one budget" "$T/q.jsonl" --budget 5
usage "a value that is missing" "$T/q.jsonl" --budgets
if [ ! -f "$SMOL" ]; then skip "ponder sweep" "the default model is not here (make model)"; finish; fi

printf '%s\n' '{"question":"What is 2 + 3? Answer with a number.","answer":5,"more":[1]}' '' '{"question":"Say: blue","answer":"no such answer at all"}' >"$T/two.jsonl"
sweep "$T/two.jsonl" --budgets 0,12 --votes 1,3 --answer-max 12 -o "$T/a.csv" >"$T/out" 2>"$T/err" </dev/null; rc=$?
is "exit code" $rc 0
is "nothing on stderr without a terminal" "$(cat "$T/err")" ""
is "a bar for each budget and number of votes" "$(grep -cE '^ +(0|12) +(1|3)  .* [0-2]/2 ' "$T/out")" 4
is "CSV: its head" "$(head -n 1 "$T/a.csv")" "budget,votes,questions,correct,accuracy,low95,high95,unanswered,closed_by_budget,thought_tokens,answer_tokens,seconds"
is "CSV: a row each, both questions answered" "$(tail -n +2 "$T/a.csv" | cut -d, -f1-3 | tr '\n' ' ')" "0,1,2 0,3,2 12,1,2 12,3,2 "
is "CSV: budgets are kept" "$(awk -F, 'NR > 1 && $1 == 0 && $10 != 0 || $1 == 12 && $2 == 1 && $10 > 12' "$T/a.csv")" ""
is "CSV: a wrong answer is not right" "$(awk -F, 'NR > 1 && $4 > 1' "$T/a.csv")" ""
sweep "$T/two.jsonl" --budgets 0,12 --votes 1,3 --answer-max 12 --threads 1 -o "$T/b.csv" >/dev/null 2>&1 </dev/null
is "again, with one thread: the same but for the time" "$(cut -d, -f1-11 "$T/b.csv")" "$(cut -d, -f1-11 "$T/a.csv")"
is "--limit" "$(sweep "$T/two.jsonl" --limit 1 --budgets 0 --answer-max 4 -o "$T/c.csv" >/dev/null 2>&1 </dev/null; tail -n 1 "$T/c.csv" | cut -d, -f3)" 1
is "nothing is kept" "$(ls "$XDG_DATA_HOME/ponder" 2>/dev/null)" ""
is "a CSV that cannot be written" "$(sweep "$T/two.jsonl" --limit 1 --budgets 0 --answer-max 4 -o "$T/no/c.csv" >/dev/null 2>&1 </dev/null; echo $?)" 1
is "a model that is not there" "$("$PONDER" sweep "$T/two.jsonl" -m "$T/none.gguf" >/dev/null 2>&1 </dev/null; echo $?)" 3
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo '{"question":"Count to a hundred.","answer":'$i'}'; done >"$T/many.jsonl"
"$PONDER" sweep -m "$SMOL" "$T/many.jsonl" --budgets 0,4 --answer-max 60 -o "$T/d.csv" >"$T/out" 2>"$T/err" </dev/null &
pid=$!
i=0; while [ $i -lt 100 ] && ! { [ -d /proc/$pid ] && [ "$(awk '{print $14 + $15}' /proc/$pid/stat 2>/dev/null || echo 0)" -gt 150 ]; }; do sleep 0.2; i=$((i + 1)); done
kill -INT $pid; wait $pid; rc=$?
is "Ctrl-C: exit code" $rc 130
like "Ctrl-C: what was done is told" "$(cat "$T/out")" 'stopped after [0-9]+ of 40 replies'
is "Ctrl-C: and written" "$(wc -l <"$T/d.csv")" 3
finish
