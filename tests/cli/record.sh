#!/bin/sh
# list, show, search, delete, rate and export on a record that is filled by SQL: no model is needed.
ponder=${PONDER:-build/ponder}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
XDG_DATA_HOME=$dir/data XDG_CONFIG_HOME=$dir/config TZ=UTC LC_ALL=C.UTF-8
export XDG_DATA_HOME XDG_CONFIG_HOME TZ LC_ALL
unset PONDER_DB PONDER_MODEL NO_COLOR
db=$dir/r.db
n=0 rc=0
ok() { # NAME STATUS [WHAT]
    n=$((n + 1))
    if [ "$2" -eq 0 ]; then echo "ok $n - $1"; else rc=1; echo "not ok $n - $1"; printf '%s\n' "$3" | sed 's/^/# /'; fi
}
is() { [ "$2" = "$3" ]; ok "$1" $? "got: $2
wanted: $3"; }
exits() { # NAME CODE COMMAND...
    name=$1 code=$2; shift 2
    out=$("$@" 2>&1 </dev/null); got=$?
    [ $got -eq "$code" ]; ok "$name" $? "exit $got: $out"
}
json() { python3 -c 'import json,sys
for line in sys.stdin:
    d = json.loads(line)
    print(eval(sys.argv[1], {}, {"d": d}))' "$1"; }

exits "an empty record is listed" 0 "$ponder" list
[ ! -e "$dir/data/ponder" ]; ok "looking makes no file" $?
exits "nothing to show" 1 "$ponder" show 1
exits "a damaged record" 3 sh -c "echo garbage > $dir/bad.db; $ponder list --db $dir/bad.db"
is "and it stays as it was" "$(cat "$dir/bad.db")" garbage
exits "a folder is no record" 3 "$ponder" list --db "$dir"

# made by a store of the program's own: rating a message that is not there
: > "$db"
exits "no such message" 1 "$ponder" rate m1 --answer up --db "$db"
python3 - "$db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
def conversation(title):
    return db.execute("INSERT INTO conversations(title, created_ms, updated_ms) VALUES(?, 1768469400000, 1768469400000 + (SELECT count(*) FROM conversations))", (title,)).lastrowid
def message(conv, parent, role, text, thought=""):
    m = db.execute("INSERT INTO messages(conversation, parent, role, active, created_ms, text, thought) VALUES(?, ?, ?, 1, 1768469400000, ?, ?)",
                   (conv, parent, role, text, thought)).lastrowid
    db.execute("UPDATE conversations SET leaf = ? WHERE id = ?", (m, conv))
    return m
def reply(conv, parent, text, thought):
    m = message(conv, parent, "assistant", text, thought)
    db.execute("INSERT INTO replies(message, model, family, system, ended, answer_ended, thought_tokens, answer_tokens, thought_ms, budget)"
               " VALUES(?, 'Tiny', 'chatml', '', 'natural', 'complete', 3, 2, 1500, '400')", (m,))
    return m
c = conversation("Tennis \x1b[31mballs\nand more")
r = reply(c, message(c, None, "user", "How many tennis balls?"), "Eleven\x1b]0;evil\x07 \u202eballs \x9b31m", "Five and six\nmakes eleven")
reply(c, message(c, r, "user", "Sure?"), "Yes", "")
c = conversation("Other")
reply(c, message(c, None, "user", "Hi"), "Hello there", "greet")
db.execute("INSERT INTO message_index(message_index) VALUES('rebuild')")
db.commit()
PY

is "list, newest first" "$("$ponder" list --db "$db" | cut -d' ' -f1 | tr '\n' ' ')" "c2 c1 "
is "a title is one clean line" "$("$ponder" list --db "$db" | tail -n 1)" "c1     2026-01-15 09:30    4  Tennis ␛[31mballs and more"
is "list --json" "$("$ponder" list --json --db "$db" | json '(d["id"], d["messages"], d["model"], d["title"], d["created_at"])' | tail -n 1)" \
    "(1, 4, 'Tiny', 'Tennis \\x1b[31mballs\\nand more', '2026-01-15T09:30:00.000Z')"
is "list --limit" "$("$ponder" list --limit 1 --db "$db" | wc -l)" 1
exits "list --limit 0" 2 "$ponder" list --limit 0 --db "$db"
exits "list knows no words" 2 "$ponder" list 3 --db "$db"
exits "list --db without a file" 2 "$ponder" list --db

show=$("$ponder" show c1 --db "$db")
is "show" "$(printf '%s' "$show" | grep -c 'How many tennis balls?\|^| Five and six\|^| makes eleven\|^Eleven\|thought for 1.5 s, 3 tokens, natural')" 5
printf '%s' "$show" | grep -q "$(printf '\033\|\007\|\302\233')"; [ $? -eq 1 ]; ok "show lets no control character through" $?
is "show --json is exact" "$("$ponder" show 1 --json --db "$db" | json '[m.get("prompt", m.get("answer")) for m in d["messages"]]')" \
    "['How many tennis balls?', 'Eleven\\x1b]0;evil\\x07 \\u202eballs \\x9b31m', 'Sure?', 'Yes']"
"$ponder" show 1 --json --db "$db" | LC_ALL=C grep -q '[^ -~]'; [ $? -eq 1 ]; ok "and is printable ASCII" $?
is "show of a message" "$("$ponder" show m4 --json --db "$db" | json '(d["answer"], d["parent"], d["ended"], d["answer_rating"], d["tags"])')" "('Yes', 3, 'natural', 0, [])"
exits "show of a message that is not there" 1 "$ponder" show m99 --db "$db"
for bad in x c m c0 -1 1x c1c m999999999999999999999; do exits "show $bad" 2 "$ponder" show "$bad" --db "$db"; done
exits "show of nothing" 2 "$ponder" show --db "$db"
exits "show of two" 2 "$ponder" show 1 2 --db "$db"

is "search" "$("$ponder" search eleven --db "$db" --json | json '(d["part"], d["message"], d["conversation"])' | sort | tr '\n' ' ')" "('answer', 2, 1) ('thought', 2, 1) "
is "search --in" "$("$ponder" search --in thoughts eleven --db "$db" --json | json 'd["snippet"]')" "Five and six
makes eleven"
is "search, all words" "$("$ponder" search tennis many --db "$db" --json | json 'd["message"]')" 1
"$ponder" search balls --db "$db" | grep -q "$(printf '\033\|\007\|\302\233\|\002')"; [ $? -eq 1 ]; ok "search lets no control character through" $?
exits "search of what is not there" 0 "$ponder" search unobtainium --db "$db"
exits "search for hostile words" 0 "$ponder" search --db "$db" -- '--"(*' "'; DROP TABLE messages" 'a"b NEAR('
exits "search without words" 2 "$ponder" search --db "$db"
exits "search --in nowhere" 2 "$ponder" search --in nowhere x --db "$db"
exits "search --unknown" 2 "$ponder" search --unknown x --db "$db"

printf 'Eleven balls.\r\n' > "$dir/edit"
is "rate" "$("$ponder" rate m2 --answer up --reason accurate --reason 'to the point' --comment 'good one' --thought down --reason long --tag math --tag sums --db "$db")" \
    'm2: answer up ["accurate","to the point"], thought down ["long"], tags ["math","sums"]'
is "a comment leaves the rating" "$("$ponder" rate 2 --comment 'better one' --untag sums --db="$db")" \
    'm2: answer up ["accurate","to the point"], thought down ["long"], tags ["math"]'
exits "rate --edit" 0 "$ponder" rate 2 --answer none --edit "$dir/edit" --db "$db"
is "what was rated is in turns" "$(python3 -c 'import sqlite3,sys
print(*sqlite3.connect(sys.argv[1]).execute("SELECT answer_rating, thought_rating, answer_reasons, thought_reasons, answer_comment, thought_comment, edited_answer, edited_thought, tags FROM turns WHERE message_id = 2").fetchone())' "$db")" \
    '0 -1 [] ["long"] better one None Eleven balls. None ["math"]'
is "show says it too" "$("$ponder" show m2 --json --db "$db" | json '(d["thought_rating"], d["edited_answer"], d["tags"], d["answer_comment"])')" "(-1, 'Eleven balls.', ['math'], 'better one')"
exits "a prompt cannot be rated" 1 "$ponder" rate m1 --answer up --db "$db"
exits "a rating that is none" 2 "$ponder" rate m2 --answer sideways --db "$db"
exits "nothing to rate" 2 "$ponder" rate m2 --db "$db"
exits "a conversation is no message" 2 "$ponder" rate c1 --answer up --db "$db"
exits "an edit that cannot be read" 1 "$ponder" rate m4 --answer up --edit "$dir/missing" --db "$db"
is "leaves the rating alone" "$("$ponder" show m4 --json --db "$db" | json 'd["answer_rating"]')" 0

# pairs, steps, taking back
python3 - "$db" <<'PY2'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
m = db.execute("INSERT INTO messages(conversation, parent, role, created_ms, text, thought) VALUES(2, 5, 'assistant', 1768469400000, 'Hello you', 'One. Two. Three.')").lastrowid
db.execute("INSERT INTO replies(message, model, family, system, ended, answer_ended) VALUES(?, 'Tiny', 'chatml', '', 'natural', 'complete')", (m,))
db.execute("INSERT INTO message_index(message_index) VALUES('rebuild')")
db.commit()
PY2
sql() { python3 -c 'import sqlite3,sys
for r in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*r)' "$db" "$1"; }
is "rate --over" "$("$ponder" rate m7 --over m6 --strength 2 --db "$db")" "m7 over m6, strength 2"
is "is a pair" "$(sql 'SELECT verdict, strength, chosen, rejected, blind FROM pairs WHERE source = "vote"')" "a 2 7 6 0"
is "and the winner is shown" "$(sql 'SELECT leaf FROM conversations WHERE id = 2')" 7
is "rate --tie" "$("$ponder" rate 7 --tie m6 --db "$db")" "m7 ties with m6"
is "the earlier one is shown" "$(sql 'SELECT leaf FROM conversations WHERE id = 2')" 6
is "rate --both-bad" "$("$ponder" rate 7 --both-bad 6 --db "$db")" "m7 as bad as m6"
is "rate --undo" "$("$ponder" rate --undo --db "$db")" "m7: vote taken back"
is "puts the vote back" "$(sql 'SELECT verdict FROM pairs WHERE source = "vote"')" tie
is "rate --step" "$("$ponder" rate m7 --step 1=good --step 2=neutral --step 3=bad --tag hm --db "$db")" 'm7: answer none, thought none, tags ["hm"], steps 1 good, 2 neutral, 3 bad'
is "steps are in their view" "$(sql 'SELECT step, unit, text, rating FROM step_ratings')" "1 sentence One. good
2 sentence Two. neutral
3 sentence Three. bad"
exits "the first error is the last step" 0 "$ponder" rate m7 --step 2=bad --db "$db"
exits "nothing behind it" 1 "$ponder" rate m7 --step 3=good --db "$db"
exits "one command is one change" 0 sh -c "$ponder rate --undo m7 --db $db && $ponder rate --undo m7 --db $db"
is "all of it" "$(sql 'SELECT (SELECT count(*) FROM steps), (SELECT count(*) FROM tags WHERE message = 7)')" "0 0"
exits "votes on what cannot be compared" 1 "$ponder" rate m7 --over m2 --db "$db"
exits "a vote on a message that is not there" 1 "$ponder" rate m7 --over m77 --db "$db"
for bad in "m7 --over" "m7 --over x" "m7 --over m6 --strength 4" "m7 --strength 2" "m7 --tie m6 --strength 2" "m7 --over m6 --tie m6" "m7 --step 0=good" "m7 --step 1=fine" "m7 --step good" "m7 --undo --tag x"; do
    # shellcheck disable=SC2086
    exits "rate $bad" 2 "$ponder" rate --db "$db" $bad
done
python3 - "$db" <<'PY2'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA foreign_keys = ON"); db.execute("DELETE FROM messages WHERE id = 7"); db.execute("INSERT INTO message_index(message_index) VALUES('rebuild')"); db.commit()
PY2

exits "export" 0 "$ponder" export --format sft -o "$dir/out.jsonl" --db "$db"
is "its records" "$(json '[m["content"] for m in d["messages"]]' < "$dir/out.jsonl" | tr '\n' ' ')" \
    "['How many tennis balls?', 'Eleven balls.', 'Sure?', 'Yes'] ['Hi', 'Hello there'] "
is "a thought rated down is left out" "$(json '[m.get("reasoning_content") for m in d["messages"]]' < "$dir/out.jsonl" | sed -n 1p)" "[None, None, None, None]"
is "but not when it is wanted" "$("$ponder" export --bad-thoughts keep --db "$db" -o - 2>/dev/null | json '[m.get("reasoning_content") for m in d["messages"]]' | sed -n 1p)" "[None, 'Five and six\\nmakes eleven', None, None]"
is "its mode" "$(stat -c %a "$dir/out.jsonl")" 600
"$ponder" export --db "$db" -o - 2>/dev/null | cmp -s - "$dir/out.jsonl"; ok "the same on standard output" $?
is "no other file is left" "$(cd "$dir" && echo *.jsonl .ponder*)" "out.jsonl .ponder*"
is "inline" "$("$ponder" export --reasoning inline --db "$db" -o - 2>/dev/null | json 'd["messages"][-1]["content"]' | tail -n 5 | tr '\n' ' ')" "<think> greet </think>  Hello there "
is "strip" "$("$ponder" export --reasoning=strip --db "$db" -o - 2>/dev/null | grep -c 'greet\|reasoning')" 0
is "by tag" "$("$ponder" export --tag math --db "$db" -o - 2>/dev/null | json 'len(d["messages"])')" 2
is "by rating" "$("$ponder" export --rating up --db "$db" -o - 2>/dev/null | json 'len(d["messages"])')" 2
is "by words" "$("$ponder" export --search hello --db "$db" -o - 2>/dev/null | json 'd["messages"][1]["content"]')" "Hello there"
is "by time" "$("$ponder" export --since 2026-01-15 --until 2026-01-15 --db "$db" -o - 2>/dev/null | wc -l)" 2
is "after that" "$("$ponder" export --since 2026-01-15T09:31 --db "$db" -o - 2>/dev/null | wc -l)" 0
is "before that" "$("$ponder" export --until 2026-01-14 --db "$db" -o - 2>/dev/null | wc -l)" 0
is "by model" "$("$ponder" export --model huge --db "$db" -o - 2>/dev/null | wc -l)" 0
is "dry run" "$("$ponder" export --dry-run --rating up --db "$db")" "1 record from 3 replies; left out: 2 rated too low; 1 thought rated down left out"
for bad in "--format bogus -o x.jsonl" "--reasoning loud -o x.jsonl" "--format openai --reasoning field -o x.jsonl" "--format json --reasoning strip -o x.json" "--injected mask -o x.jsonl" "--pairs coins -o x.jsonl" \
    "--split 1,2 -o x" "--split 90,5,5 -o x.jsonl" "--weights up=0 -o x.jsonl" "--weights down=1 -o x.jsonl" "--min-strength 4 -o x.jsonl" "--max-tokens 0 -o x.jsonl" "--template bogus -o x.jsonl" "--rating 5 -o x" "--since yesterday -o x" "--since 2026-02-30 -o x" "--endings bogus -o x" "" "x" "-o $dir"; do
    # shellcheck disable=SC2086
    exits "export $bad" 2 "$ponder" export --db "$db" $bad
done
# folders
exits "export to a folder" 0 "$ponder" export --db "$db" --rating all -o "$dir/set/"
is "its files" "$(cd "$dir/set" && echo *)" "README.md manifest.json test.jsonl train.jsonl valid.jsonl"
is "its mode and theirs" "$(stat -c %a "$dir/set" "$dir/set/train.jsonl" | tr '\n' ' ')" "700 600 "
is "all records are in it" "$(cat "$dir"/set/*.jsonl | wc -l)" 2
is "the manifest counts them" "$(tr -d '\n' < "$dir/set/manifest.json" | json '(d["counts"]["records"], sum(f["records"] for f in d["files"]), d["options"]["format"], d["models"])')" \
    "(2, 2, 'sft', [{'model': 'Tiny', 'sha256': None, 'licence': None, 'records': 2}])"
is "and has their hashes" "$(tr -d '\n' < "$dir/set/manifest.json" | json '"\n".join(f["sha256"] + "  " + f["name"] for f in d["files"])' | (cd "$dir/set" && sha256sum -c --quiet 2>&1))" ""
cp -r "$dir/set" "$dir/set2"
exits "export over it" 0 "$ponder" export --db "$db" --rating all -o "$dir/set"
diff -r "$dir/set" "$dir/set2" >/dev/null; ok "gives the same bytes" $?
exits "another format over it" 0 "$ponder" export --db "$db" --format llamafactory -o "$dir/set"
is "brings its own files" "$(cd "$dir/set" && echo *)" "README.md dataset_info.json manifest.json test.jsonl train.jsonl valid.jsonl"
is "and names the columns" "$(tr -d '\n' < "$dir/set/dataset_info.json" | json 'sorted({v["columns"]["messages"] for v in d.values()})')" "['conversations']"
exits "and back" 0 "$ponder" export --db "$db" --rating all -o "$dir/set"
diff -r "$dir/set" "$dir/set2" >/dev/null; ok "takes them away again" $?
exits "axolotl" 0 "$ponder" export --db "$db" --format axolotl --injected mask -o "$dir/axo"
grep -q 'field_messages: messages' "$dir/axo/axolotl.yaml"; ok "has its configuration" $?
exits "html" 0 "$ponder" export --db "$db" --format html -o "$dir/book"
is "is one file" "$(cd "$dir/book" && echo *)" "README.md conversations.html manifest.json"
mkdir "$dir/other" && echo mine > "$dir/other/file"
exits "a folder with something else in it" 2 "$ponder" export --db "$db" -o "$dir/other"
is "stays as it was" "$(cd "$dir/other" && echo * && cat file)" "file
mine"
exits "a folder in no folder" 1 "$ponder" export --db "$db" -o "$dir/no/such"
is "nothing half-made is left" "$(ls -A "$dir" | grep -c '^\.')" 0
is "dry run --json" "$("$ponder" export --dry-run --json --format kto --db "$db" | json '(d["counts"]["records"], d["counts"]["left_out"]["unrated"], d["options"]["reasoning"])')" "(1, 2, 'field')"
is "text through a template" "$("$ponder" export --format text --template qwen3 --bad-thoughts keep --search Hi --db "$db" -o - 2>/dev/null | json 'd["text"]')" "<|im_start|>user
Hi<|im_end|>
<|im_start|>assistant
<think>
greet
</think>

Hello there<|im_end|>"
is "no BOS, which trainers add" "$("$ponder" export --format sft-pc --reasoning text --template deepseek-r1-distill-qwen --search Hi --db "$db" -o - 2>/dev/null | json 'd["prompt"] + "+" + d["completion"]')" "<｜User｜>Hi<｜Assistant｜><think>
+greet
</think>

Hello there<｜end▁of▁sentence｜>"
"$ponder" export --template deepseek-r1-distill-qwen --db "$db" -o - 2>&1 >/dev/null | grep -q 'warning: the chat template of deepseek-r1-distill-qwen.*--reasoning text keeps them'; ok "R1's template loses thoughts, which is told" $?
"$ponder" export --template smollm2 --db "$db" -o - 2>&1 >/dev/null | grep -q 'warning.*--reasoning inline keeps them'; ok "and one that knows no field" $?
"$ponder" export --template qwen3 --db "$db" -o - 2>&1 >/dev/null | grep -q warning; is "one that keeps them is not warned of" $? 1

exits "a folder that is not there" 1 "$ponder" export --db "$db" -o "$dir/no/such/file"
if [ -e /dev/full ]; then
    "$ponder" export --db "$db" -o - > /dev/full 2>/dev/null; is "a full disk is told" $? 1
    "$ponder" list --db "$db" > /dev/full 2>/dev/null; is "also by list" $? 1
fi

# keeping
is "check" "$("$ponder" check --db "$db")" "the record is whole"
is "stats --json" "$("$ponder" stats --json --db "$db" | json '(d["replies"], d["models"][0]["name"], d["models"][0]["thought_down"])')" "(3, 'Tiny', 1)"
exits "stats" 0 "$ponder" stats --db "$db"
exits "stats of an empty record" 0 "$ponder" stats
exits "backup" 0 "$ponder" backup "$dir/backup.db" --db "$db"
is "is the record" "$("$ponder" list --db "$dir/backup.db")" "$("$ponder" list --db "$db")"
exits "backup over a file" 1 "$ponder" backup "$dir/backup.db" --db "$db"
is "redact --dry-run" "$("$ponder" redact 'greet' --dry-run --db "$dir/backup.db")" "1 text would change"
is "redact" "$("$ponder" redact 'greet' --db "$dir/backup.db")" "1 text changed"
is "it is gone" "$("$ponder" show m6 --json --db "$dir/backup.db" | json 'd["thought"]')" "[redacted]"
is "redact takes text as it is" "$("$ponder" redact '.*' --db "$dir/backup.db")" "0 texts changed"
exits "redact with a pattern that is none" 1 "$ponder" redact --regex '(' --db "$dir/backup.db"
exits "redact of nothing" 2 "$ponder" redact '' --db "$dir/backup.db"
exits "export everything" 0 "$ponder" export --format json --db "$db" -o "$dir/all.json"
is "import --dry-run" "$("$ponder" import "$dir/all.json" --dry-run --json --db "$dir/new.db" 2>/dev/null | json '(d["format"], d["conversations"], d["messages"])')" "('ponder', 2, 6)"
[ ! -e "$dir/new.db" ]; ok "makes no record" $?
is "import" "$("$ponder" import "$dir/all.json" --db "$dir/new.db")" "$dir/all.json: 2 conversations of ponder, 6 messages, 2 ratings"
is "gives the same turns" "$(db2=$db; db=$dir/new.db; sql 'SELECT answer, thought, answer_rating, tags, created_at FROM turns ORDER BY answer'; db=$db2)" \
    "$(sql 'SELECT answer, thought, answer_rating, tags, created_at FROM turns ORDER BY answer')"
is "import again brings nothing" "$("$ponder" import "$dir/all.json" --json --db "$dir/new.db" | json '(d["conversations"], d["known"])')" "(0, 2)"
python3 -c 'import zipfile, sys, json
z = zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED)
z.writestr("user.json", "{}")
z.writestr("data/conversations.json", json.dumps([{"uuid": "z", "name": "Zipped", "chat_messages": [{"uuid": "1", "sender": "human", "text": "q" * 5000}, {"uuid": "2", "sender": "assistant", "text": "a"}]}]))' "$dir/claude.zip"
is "import of an archive" "$("$ponder" import "$dir/claude.zip" --json --db "$dir/new.db" | json '(d["format"], d["messages"])')" "('claude', 2)"
head -c 300 "$dir/claude.zip" > "$dir/cut.zip"
exits "import of half an archive" 1 "$ponder" import "$dir/cut.zip" --db "$dir/new.db"
exits "import of a file of another kind" 1 "$ponder" import "$dir/edit" --db "$dir/new.db"
exits "import of nothing" 2 "$ponder" import --db "$dir/new.db"
exits "import of a file that is not there" 1 "$ponder" import "$dir/missing" --db "$dir/new.db"
is "search, narrowed" "$("$ponder" search eleven --rating none --tag math --db "$db" --json | json 'd["message"]' | sort -u)" 2
is "search, narrowed to nothing" "$("$ponder" search eleven --until 2020-01-01 --db "$db" --json)" ""
exits "search --rating odd" 2 "$ponder" search eleven --rating odd --db "$db"
is "review --search takes replies with the words" "$("$ponder" review --search Yes --json --db "$db" | json 'd["message"]')" 4
is "and those whose prompt has them" "$("$ponder" review --search Sure --json --db "$db" | json 'd["message"]')" 4
is "or none" "$("$ponder" review --search unobtainium --json --db "$db")" ""

exits "delete of what is not there" 1 "$ponder" delete 9 --db "$db"
exits "delete takes conversations" 2 "$ponder" delete m1 --db "$db"
exits "delete" 0 "$ponder" delete c1 --db "$db"
is "leaves the others" "$("$ponder" list --db "$db" | wc -l)" 1
! LC_ALL=C grep -q 'tennis\|makes eleven' "$db" "$db"-wal 2>/dev/null; ok "and no byte of it" $?
is "delete --json" "$("$ponder" delete 2 --json --db "$db" | json 'd["deleted"]')" 2
is "the record's mode" "$(stat -c %a "$db")" 600
echo "1..$n"
exit $rc
