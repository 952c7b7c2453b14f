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

# or the lines of the run before are taken for this one's, and what is sent comes too early
fresh_events() { : >"$T/events"; }
mkfifo "$T/ctl"
fresh_events
ask --json --budget 3000 --no-loop-guard --think-min 2900 --answer-max 16 --control "$T/ctl" "Tell a very long story about the sea." >"$T/events" </dev/null &
i=0; until [ "$(wc -l <"$T/events")" -gt 60 ] || [ $i -gt 900 ]; do sleep 0.1; i=$((i + 1)); done
echo "budget 40" >"$T/ctl"
wait $!
is "a budget lowered below what is used closes within 32 tokens" "$(json '
n = next((i for i, e in enumerate(events) if e["event"] == "budget"), None)
after = sum(e["event"] == "thought" for e in events[n:]) if n is not None else 999
print(n is not None and after <= 32, events[-1]["ended"][:6], events[-1]["answer_tokens"] > 0)' <"$T/events")" "True budget True"

ask --json --budget 2000 --no-loop-guard --think-min 1900 --answer-max 4 --control "$T/ctl" "Tell a very long story about the sea." >"$T/early" </dev/null &
early=$!
echo "budget 12" >"$T/ctl"
wait $early
is "a command that comes before the reply waits for it" "$(json 'e=events[-1]; print(e["ended"][:6], e["thought_tokens"] <= 44, e["answer_tokens"] > 0)' <"$T/early")" "budget True True"

fresh_events
ask --json --budget unlimited --no-loop-guard --think-min 2000 --answer-max 16 --control "$T/ctl" "Tell a very long story about the sea." >"$T/events" </dev/null &
i=0; until [ "$(wc -l <"$T/events")" -gt 30 ] || [ $i -gt 900 ]; do sleep 0.1; i=$((i + 1)); done
echo "answer" >"$T/ctl"
wait $!
is "answer now" "$(json 'print(events[-1]["ended"], events[-1]["answer_tokens"] > 0)' <"$T/events")" "answer_now True"

fresh_events
ask --json --budget unlimited --no-loop-guard --think-min 3000 --control "$T/ctl" "Tell a very long story about the sea." >"$T/events" 2>"$T/err" </dev/null &
i=0; until [ "$(wc -l <"$T/events")" -gt 30 ] || [ $i -gt 900 ]; do sleep 0.1; i=$((i + 1)); done
echo "nonsense" >"$T/ctl"; echo "stop" >"$T/ctl"
wait $!
is "stop" "$(json 'print(events[-1]["ended"], events[-1]["answer_ended"])' <"$T/events")" "stopped None"
like "an unknown control line is named" "$(cat "$T/err")" 'nonsense'

fresh_events
(exec "$PONDER" ask -m "$SMOL" --json --budget unlimited --no-loop-guard --think-min 3000 "Tell a very long story about the sea." >"$T/events" 2>/dev/null </dev/null) &
pid=$!
i=0; until [ "$(wc -l <"$T/events")" -gt 30 ] || [ $i -gt 900 ]; do sleep 0.1; i=$((i + 1)); done
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
zero=$(ask --cot step --budget 12 --answer-max 8 --json "$q" </dev/null | json 'print(events[-1]["message_id"])')
few=$(ask --cot few --budget 12 --answer-max 8 --json "$q" </dev/null | json 'print(events[-1]["message_id"])')
is "--cot few: the examples are recorded, and in the prompt alone" "$(python3 -c '
import os, sqlite3, sys
db = sqlite3.connect(os.environ["XDG_DATA_HOME"] + "/ponder/ponder.db")
zero, few = map(int, sys.argv[1:])
tokens = lambda m: db.execute("SELECT prompt_tokens FROM replies WHERE message = ?", (m,)).fetchone()[0]
notes = lambda m: db.execute("SELECT value FROM events WHERE message = ? AND kind = ?", (m, "examples")).fetchall()
print(notes(zero), notes(few), tokens(few) > tokens(zero) + 100, db.execute("SELECT count(*) FROM messages WHERE conversation = (SELECT conversation FROM messages WHERE id = ?)", (few,)).fetchone()[0])
' "$zero" "$few")" "[] [('few-1',)] True 2"
is "--cot few: no export has them" "$("$PONDER" export --format json -o - 2>/dev/null | grep -c 'Mia is older')" 0
ask --vote 3 --budget 12 --answer-max 12 "$q" >"$T/out" 2>"$T/err" </dev/null; rc=$?
is "--vote: exit code" $rc 0
is "--vote: a row for each sample on stderr, one has won" "$(grep -cE '^[* ] [1-3]  ' "$T/err") $(grep -c '^\*' "$T/err")" "3 1"
like "--vote: an answer on stdout" "$(cat "$T/out")" '[[:alnum:]]'
ask --vote 3 --budget 12 --answer-max 12 --json "$q" >"$T/events" </dev/null
is "--vote --json: events say which sample, the vote and the end come last" "$(json 'print([e["event"] for e in events[-2:]], all(1 <= e["sample"] <= 3 for e in events), sum(e["event"] == "sample_end" for e in events))' <"$T/events")" \
    "['vote', 'end'] True 3"
is "--vote: the answer on stdout is the winner's" "$(json 'w=events[-1]["sample"]; print("".join(e["text"] for e in events if e["event"] == "answer" and e["sample"] == w))' <"$T/events" | head -c 40)" \
    "$(head -c 40 "$T/out")"
cat >"$T/samples.py" <<'EOS'
import json, os, sqlite3, sys
db = sqlite3.connect(os.environ["XDG_DATA_HOME"] + "/ponder/ponder.db")
end = [json.loads(l) for l in open(sys.argv[1])][-1]
rows = db.execute("SELECT t.message_id, t.seed, t.thought, t.answer, t.active, e.value FROM turns t JOIN events e ON e.message = t.message_id AND e.kind = 'vote'"
                  " WHERE t.reply_to = (SELECT reply_to FROM turns WHERE message_id = ?) ORDER BY t.message_id", (end["message_id"],)).fetchall()
notes = [json.loads(r[5]) for r in rows]
print(len(rows), [n["sample"] for n in notes], [r[4] for r in rows] == [int(n["won"]) for n in notes], rows[end["sample"] - 1][0] == end["message_id"])
print(rows[1][1])
print(repr(rows[1][2] + "|" + rows[1][3]))
EOS
python3 "$T/samples.py" "$T/events" >"$T/samples"
is "--vote: all are kept, the winner is the active one" "$(sed -n 1p "$T/samples")" "3 [1, 2, 3] True True"
ask --seed "$(sed -n 2p "$T/samples")" --budget 12 --answer-max 12 --json "$q" </dev/null | json 't={"thought":"","answer":""}
for e in events[:-1]:
    if e["event"] in t: t[e["event"]] += e["text"]
print(repr(t["thought"] + "|" + t["answer"]))' >"$T/alone"
is "--vote: with the seed in the record a sample is the same alone" "$(cat "$T/alone")" "$(sed -n 3p "$T/samples")"
for wrong in 0 33 x 2x; do
    is "--vote $wrong is refused" "$(ask --vote $wrong "$q" 2>&1 </dev/null >/dev/null; echo $?)" "ponder: --vote: \"$wrong\" is no number from 1 to 32
2"
done
is "a full device is noticed" "$(ask --budget 0 --answer-max 4 hello >/dev/full 2>/dev/null </dev/null; echo $?)" 1
finish
