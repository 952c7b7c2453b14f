#!/bin/sh
# What is taken out of the record is taken out of the input history too, and nothing else is.
. "$(dirname "$0")/lib/tap.sh"
history="$XDG_STATE_HOME/ponder/history"
db="$T/r.db"
put_history() { mkdir -p "$(dirname "$history")" && chmod 700 "$(dirname "$history")" && printf '%s\n' "$@" >"$history"; }
texts() { grep -v '^#[0-9]' "$history" | tr '\n' '|'; }
cat >"$T/chat.jsonl" <<'J'
{"messages":[{"role":"user","content":"my secret is plover"},{"role":"assistant","content":"noted"},{"role":"user","content":"two\nlines"},{"role":"assistant","content":"yes"}]}
{"messages":[{"role":"user","content":"my secret is heron"},{"role":"assistant","content":"noted"}]}
J
"$PONDER" import "$T/chat.jsonl" --db "$db" >/dev/null 2>&1
put_history '#1768469400' 'my secret is plover' '#1768469401' 'my secret is heron' '#1768469402' 'two' 'lines' '#1768469403' '/ab my secret is plover' \
    '#1768469404' 'plover' '#1768469405' '\#1 not a time' '#1768469406' 'is my secret is plover'
is "the conversations are there" "$("$PONDER" list --db "$db" | wc -l)" 2
id=$("$PONDER" search plover --db "$db" --json | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["conversation"])')
is "delete" "$("$PONDER" delete "$id" --db "$db" >/dev/null; echo $?)" 0
is "its prompts are gone from the history, others stay" "$(texts)" 'my secret is heron|plover|\#1 not a time|is my secret is plover|'
is "the file's mode" "$(stat -c %a "$history")" 600
unlike "no byte of it is in the record" "$(LC_ALL=C cat "$db"*)" 'plover'
is "redact --dry-run counts" "$("$PONDER" redact heron --dry-run --db "$db" | tr '\n' '|')" "2 texts would change|1 line of the input history would change|"
like "and changes nothing" "$(texts)" 'is heron'
is "redact --json" "$("$PONDER" redact heron --with '[bird]' --json --db "$db")" '{"texts":2,"history_lines":1,"changed":true}'
is "the history has what stands in its place" "$(texts)" 'my secret is [bird]|plover|\#1 not a time|is my secret is plover|'
unlike "no byte of it is left" "$(LC_ALL=C cat "$db"* "$history")" 'heron'
is "a pattern" "$("$PONDER" redact --regex 'p[a-z]+r' -i --db "$db" | tail -n 1)" "2 lines of the input history changed"
rm "$history"
is "a history that is not there" "$("$PONDER" redact bird --db "$db" >/dev/null; echo $?)" 0
is "is not made" "$(ls "$history" 2>/dev/null)" ""
finish
