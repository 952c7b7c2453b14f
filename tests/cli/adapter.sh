#!/bin/sh
# The adapter that comes with a model: put on without being asked for, told what the model is now, left out on request, and no obstacle when it is bad.
. "$(dirname "$0")/lib/tap.sh"
unset PONDER_LORA
cd "$(dirname "$0")/../.." || exit 1
python3 tests/fault/lib/tiny.py "$T/tiny.gguf" smollm || exit 1
for i in 1 2 3 4 5 6 7 8; do
    printf '{"messages":[{"role":"user","content":"q%s"},{"role":"assistant","reasoning_content":"so be it","content":"yes"}]}\n' $i
done >"$T/data.jsonl"
train() { "$PONDER" train sft --base "$T/tiny.gguf" --data "$T/data.jsonl" --rank 2 --steps 2 --threads 1 "$@" >/dev/null 2>"$T/err" </dev/null; }
train -o "$T/asked.gguf"; is "an adapter of a model that is asked to think" "$?" 0
train -o "$T/taught.gguf" --cot off; is "and of one that is taught to" "$?" 0
is "the first names no family" "$("$PONDER" inspect gguf -m "$T/asked.gguf" | grep -c ponder.family)" 0
like "the second does" "$("$PONDER" inspect gguf -m "$T/taught.gguf" | grep ponder.family)" 'smollm2-think'

train -o "$T/more.gguf" --init "$T/taught.gguf"
like "what goes on from it is taught so too" "$("$PONDER" inspect gguf -m "$T/more.gguf" | grep ponder.family)" 'smollm2-think'
train -o "$T/other.gguf" --init "$T/taught.gguf" --cot step
is "unless told otherwise" "$("$PONDER" inspect gguf -m "$T/other.gguf" | grep -c ponder.family)" 0

mkdir -p "$T/share/models"
printf '[tiny]\nfile = tiny.gguf\nbytes = %s\nsha256 = 0\nsource = wheel none==0 none\nadapter = own.gguf\n' "$(stat -c %s "$T/tiny.gguf")" >"$T/share/models/catalogue.ini"
ask() { PONDER_DATADIR="$T/share" "$PONDER" ask -m "$T/tiny.gguf" --db "$T/r.db" --seed 1 --threads 1 --budget 4 --answer-max 4 "$@" hello >"$T/out" 2>"$T/err" </dev/null; }
newest() { python3 -c 'import sqlite3,sys; print(*sqlite3.connect(sys.argv[1]).execute("SELECT family, adapter FROM replies ORDER BY message DESC").fetchone())' "$T/r.db"; }
ask; is "none there: the model as it is" "$? $(newest)" "0 smollm2 None"
cp "$T/taught.gguf" "$T/share/models/own.gguf"
ask; is "there: it is on" "$? $(newest)" "0 smollm2-think $T/share/models/own.gguf"
ask --lora none; is "not where none is wanted" "$? $(newest)" "0 smollm2 None"
ask --lora "$T/asked.gguf"; is "another in its place" "$? $(newest)" "0 smollm2 $T/asked.gguf"
like "a reply with it comes again" "$(PONDER_DATADIR="$T/share" "$PONDER" replay m4 --db "$T/r.db" -m "$T/tiny.gguf" 2>&1)" '^m4: matched'
like "and one without" "$(PONDER_DATADIR="$T/share" "$PONDER" replay m6 --db "$T/r.db" -m "$T/tiny.gguf" 2>&1)" '^m6: matched'
head -c 2000 "$T/taught.gguf" >"$T/share/models/own.gguf"
ask; is "one that is damaged is left out" "$? $(newest)" "0 smollm2 None"
like "and told" "$(cat "$T/err")" 'own.gguf'
cp "$T/taught.gguf" "$T/share/models/own.gguf"
printf '\0' >>"$T/tiny.gguf"
ask; is "a file of another size is another model" "$? $(newest)" "0 smollm2 None"
finish
