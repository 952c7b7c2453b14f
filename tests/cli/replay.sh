#!/bin/sh
# ponder replay: replies of every kind come again from what the record holds, and a changed record is told.
. "$(dirname "$0")/lib/tap.sh"
if [ ! -f "$SMOL" ]; then skip "ponder replay" "the default model is not here (make model)"; finish; fi
db="$T/r.db"
ask() { "$PONDER" ask -m "$SMOL" --db "$db" "$@" 2>/dev/null </dev/null; }
replay() { "$PONDER" replay "$@" --db "$db" 2>&1; }
sql() { python3 -c 'import sqlite3,sys
db = sqlite3.connect(sys.argv[1]); [print(*r) for r in db.execute(sys.argv[2])]; db.commit()' "$db" "$1"; }
# Sends lines to a reply once it has put some tokens of thought: wait_thought BYTES_OF_EVENTS
steer() { i=0; until [ "$(wc -l <"$T/events" 2>/dev/null || echo 0)" -gt "$1" ] || [ $i -gt 300 ]; do sleep 0.05; i=$((i + 1)); done; printf '%s\n' "$2" >"$T/ctl"; }

ask --budget 48 --answer-max 24 "Name three fruits." >/dev/null
ask --continue --budget 1s --answer-max 16 "And three animals?" >/dev/null
ask --think off --answer-max 12 "Hello." >/dev/null
like "a plain reply" "$(replay m2)" '^m2: matched, [0-9]+ bytes of thought and [0-9]+ of answer$'
like "a second turn, with a budget in seconds, on another number of threads" "$(replay 4 -t 1)" '^m4: matched'
ask_kv() { "$PONDER" ask "$@" --db "$T/kv.db" --kv q8_0 -m "$SMOL" --seed 5 --budget 30 --answer-max 20 </dev/null; }
ask_kv "Count to five." >"$T/kv1" 2>/dev/null
like "a context in 8 bits is recorded and comes again so" "$("$PONDER" replay m2 --db "$T/kv.db" 2>&1)" '^m2: matched'
like "one without a thought" "$(replay m6)" '^m6: matched, 0 bytes of thought'
is "--json" "$(replay m2 --json)" '{"message":2,"matched":true,"same_file":true,"part":null,"byte":null}'

mkfifo "$T/ctl"
ask --json --budget 2000 --no-loop-guard --think-min 1900 --temp 0.9 --answer-max 12 --control "$T/ctl" "What lives in the sea?" >"$T/events" &
steer 6 'say think about whales'
steer 25 'budget 1500'
steer 40 'more'
steer 60 'say and about krill'
steer 80 'answer'
wait $!
is "the commands are in the record" "$(sql "SELECT group_concat(kind, ' ') FROM events WHERE message = 8 AND kind IN ('say', 'more', 'answer_now')")" "say more say answer_now"
like "a reply that was steered" "$(replay m8)" '^m8: matched'
ask --json --budget unlimited --no-loop-guard --think-min 1900 --control "$T/ctl" "Tell a story." >"$T/events" &
steer 20 'stop'
wait $!
like "one that was stopped, as far as it was written" "$(replay m10)" '^m10: matched.*as far as it was written'
like "an imported copy" "$("$PONDER" export --format json --db "$db" -o "$T/all.json" >/dev/null && "$PONDER" import "$T/all.json" --db "$T/copy.db" >/dev/null && "$PONDER" replay m8 --db "$T/copy.db" 2>&1)" '^m8: matched'

sql "UPDATE messages SET text = 'Zz ' || text WHERE id = 2" >/dev/null
is "another text in the record: exit code" "$(replay m2 >/dev/null; echo $?)" 1
like "and where it differs" "$(replay m2)" 'differs from byte 0 of the answer on'
sql "UPDATE replies SET seed = seed + 1 WHERE message = 8" >/dev/null
like "another seed" "$(replay m8)" 'm8: differs from byte [0-9]+ of the thought on'
sql "UPDATE replies SET model_sha256 = 'abc' WHERE message = 6" >/dev/null
like "another model file is named" "$(replay m6)" 'the model file is another one: recorded abc'
sql "UPDATE replies SET seed = NULL WHERE message = 6" >/dev/null
like "a reply of another program" "$(replay m6)" 'was written by another program'
is "the record stays as it was" "$(sql 'SELECT count(*) FROM messages')" 10
is "a prompt cannot be written again" "$(replay m1 >/dev/null; echo $?)" 1
is "one message is wanted" "$(replay >/dev/null; echo $?) $(replay m2 m4 >/dev/null; echo $?) $(replay x >/dev/null; echo $?)" "2 2 2"
finish
