#!/bin/sh
# ponder ask on the real default model: streams, exit codes, JSON events, live control, budgets, and what the record holds afterwards.
. "$(dirname "$0")/lib/tap.sh"
if [ ! -f "$SMOL" ]; then skip "ponder ask" "the default model is not here (make model)"; finish; fi
ask() { "$PONDER" ask -m "$SMOL" --seed 7 "$@"; }
json() { python3 -c 'import json,sys
events = [json.loads(l) for l in sys.stdin]
'"$1"; }
q="Roger has 5 tennis balls. He buys 2 cans of 3. How many has he now?"

out=$(ask --budget 48 --answer-max 40 "$q" 2>"$T/err" </dev/null); rc=$?
is "exit code" $rc 0
like "the answer is on stdout" "$out" '[[:alnum:]]'
like "the thought is on stderr" "$(cat "$T/err")" '[[:alnum:]]'
out2=$(ask --budget 48 --answer-max 40 --threads 1 "$q" 2>"$T/err2" </dev/null)
out3=$(ask --budget 48 --answer-max 40 --speculate off "$q" 2>"$T/err3" </dev/null)
is "without speculation: the same answer" "$out3" "$out"
is "without speculation: the same thought" "$(cat "$T/err3")" "$(cat "$T/err")"
is "same seed, one thread: the same answer" "$out2" "$out"
is "and the same thought" "$(cat "$T/err2")" "$(cat "$T/err")"
is "--no-thoughts keeps stderr empty" "$(ask --no-thoughts --budget 8 --answer-max 8 "$q" 2>&1 >/dev/null </dev/null)" ""
is "a pipe gets no escape bytes" "$(ask --budget 8 --answer-max 8 "$q" 2>&1 </dev/null | tr -dc '\033' | wc -c)" 0

ask --json --budget 24 --answer-max 16 "$q" >"$T/events" </dev/null
is "--json: every line is an event, the end comes last" "$(json 'print(events[-1]["event"], all(e["event"] in ("thought","answer","budget","end") for e in events))' <"$T/events")" "end True"
is "--json: the end carries its fields" "$(json 'print(sorted(events[-1]))' <"$T/events")" \
    "['accepted', 'answer_ended', 'answer_tokens', 'drafted', 'ended', 'event', 'message_id', 'prompt_evaluated', 'prompt_tokens', 'thought_ms', 'thought_tokens', 'tokens_per_s']"
is "--json: thoughts come before answers" "$(json 'k=[e["event"] for e in events if e["event"] in ("thought","answer")]; print(k == sorted(k, reverse=True))' <"$T/events")" True
is "a budget of 24 is kept" "$(json 'print(events[-1]["thought_tokens"] <= 24)' <"$T/events")" True
is "--budget 0: no thought, an answer" "$(ask --json --budget 0 --answer-max 8 "$q" </dev/null | json 'e=events[-1]; print(e["thought_tokens"], e["answer_tokens"] > 0)')" "0 True"
is "--budget off: ended is none" "$(ask --json --budget off --answer-max 8 "$q" </dev/null | json 'e=events[-1]; print(e["ended"], e["thought_tokens"])')" "none 0"
is "--answer-max ends by length" "$(ask --json --budget 0 --answer-max 3 "Count from 1 to 50." </dev/null | json 'e=events[-1]; print(e["answer_ended"], e["answer_tokens"])')" "length 3"

mkfifo "$T/ctl"
ask --json --budget 3000 --no-loop-guard --think-min 2900 --answer-max 16 --control "$T/ctl" "Tell a very long story about the sea." >"$T/events" </dev/null &
i=0; until [ "$(wc -l <"$T/events")" -gt 60 ] || [ $i -gt 200 ]; do sleep 0.1; i=$((i + 1)); done
echo "budget 40" >"$T/ctl"
wait $!
is "a budget lowered below what is used closes within 32 tokens" "$(json '
n = next((i for i, e in enumerate(events) if e["event"] == "budget"), None)
after = sum(e["event"] == "thought" for e in events[n:]) if n is not None else 999
print(n is not None and after <= 32, events[-1]["ended"][:6], events[-1]["answer_tokens"] > 0)' <"$T/events")" "True budget True"

ask --json --budget unlimited --no-loop-guard --think-min 2000 --answer-max 16 --control "$T/ctl" "Tell a very long story about the sea." >"$T/events" </dev/null &
i=0; until [ "$(wc -l <"$T/events")" -gt 30 ] || [ $i -gt 200 ]; do sleep 0.1; i=$((i + 1)); done
echo "answer" >"$T/ctl"
wait $!
is "answer now" "$(json 'print(events[-1]["ended"], events[-1]["answer_tokens"] > 0)' <"$T/events")" "answer_now True"

ask --json --budget unlimited --no-loop-guard --think-min 3000 --control "$T/ctl" "Tell a very long story about the sea." >"$T/events" 2>"$T/err" </dev/null &
i=0; until [ "$(wc -l <"$T/events")" -gt 30 ] || [ $i -gt 200 ]; do sleep 0.1; i=$((i + 1)); done
echo "nonsense" >"$T/ctl"; echo "stop" >"$T/ctl"
wait $!
is "stop" "$(json 'print(events[-1]["ended"], events[-1]["answer_ended"])' <"$T/events")" "stopped None"
like "an unknown control line is named" "$(cat "$T/err")" 'nonsense'

: >"$T/events"                     # or the lines of the run before are taken for this one's, and the signal comes too early
(exec "$PONDER" ask -m "$SMOL" --json --budget unlimited --no-loop-guard --think-min 3000 "Tell a very long story about the sea." >"$T/events" 2>/dev/null </dev/null) &
pid=$!
i=0; until [ "$(wc -l <"$T/events")" -gt 30 ] || [ $i -gt 200 ]; do sleep 0.1; i=$((i + 1)); done
kill -INT $pid; wait $pid
is "SIGINT: exit code" $? 130
is "SIGINT: what came is kept" "$("$PONDER" list --json --limit 1 | json 'print(len(events))')" 1

out=$(printf 'The word is zebra.' | ask --budget 0 --answer-max 4 --json "Repeat the word." | json 'print(events[-1]["message_id"])')
is "stdin is appended to the question" "$(printf 'SELECT prompt FROM turns WHERE message_id = %s' "$out" | python3 -c '
import sqlite3, sys, os
print(repr(sqlite3.connect(os.environ["XDG_DATA_HOME"] + "/ponder/ponder.db").execute(sys.stdin.read()).fetchone()[0]))')" "'Repeat the word.\\n\\nThe word is zebra.'"
before=$("$PONDER" list --json | wc -l)
ask --continue --budget 0 --answer-max 4 "And again." >/dev/null 2>&1 </dev/null
is "--continue goes on in the newest conversation" "$("$PONDER" list --json | wc -l)" "$before"
ask --private --budget 0 --answer-max 4 "quizzaciously private" >/dev/null 2>&1 </dev/null
is "--private leaves no trace on disk" "$(grep -rl quizzaciously "$T" | wc -l)" 0
is "files are 0600 in 0700 folders" "$(stat -c %a "$XDG_DATA_HOME/ponder" "$XDG_DATA_HOME/ponder/ponder.db" | tr '\n' ' ')" "700 600 "
is "a full device is noticed" "$(ask --budget 0 --answer-max 4 hello >/dev/full 2>/dev/null </dev/null; echo $?)" 1
finish
