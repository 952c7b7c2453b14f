#!/bin/sh
# Judging in a real terminal with a real model: a blind vote, steps, a correction, taking back, a review; and the line that each gives an export. A
# private chat leaves no byte of itself.
. tests/pty/lib
chat="$ponder -m $model --seed 3 --threads 2 --budget 40 --answer-max 40"
export_of() { "$ponder" export --endings all --format "$1" -o - 2>/dev/null; }
field() { python3 -c 'import json,sys
lines = [json.loads(l) for l in sys.stdin]
d = lines[-1] if lines else None
print('"$1"')'; }
is() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got: $2" "want: $3"; fi; }
sql() { python3 -c 'import sqlite3,sys
for r in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*r)' "$XDG_DATA_HOME/ponder/ponder.db" "$1"; }

open_terminal 120 30
run "$chat"
wait_for 'ponder · .*Q4_1' 'it starts'
type_text '/ab Name three fruits.'
keys Enter
wait_for 'the first of two replies is being written' 'two replies are written'
check 'and no text of the first is shown' sh -c "! tmux -L $socket capture-pane -p -t t | grep -q 'Thinking\|tok\|Q4_1'"
wait_for '^ A .*│ B' 'both are shown side by side'
check 'nothing tells which is which' sh -c "! tmux -L $socket capture-pane -p -t t | grep -q 'tok\|Q4_1\|budget'"
keys -l a
wait_for 'A is better: 1 slightly' 'a verdict asks how much'
keys -l 2
wait_for 'kept · A: .*budget 40.* · B: ' 'the vote is kept, and what was hidden is told'
is 'a blind vote of strength 2' "$(sql "SELECT blind, strength, shown_first IS NOT NULL, spent_ms > 0 FROM pairs")" "1 2 1 1"
is 'the winner is shown' "$(sql "SELECT c.leaf = p.chosen FROM conversations c, pairs p")" 1
is 'dpo has the pair' "$(export_of dpo | field '(d["prompt"][-1]["content"], d["chosen"] != d["rejected"])')" "('Name three fruits.', True)"
is 'reward its margin' "$(export_of reward | field 'd["margin"]')" 2.0

keys Tab
wait_for 'rate thought' 'reading'
keys -l s
wait_for 'step 1 of' 'the steps of the thought'
keys -l +
wait_for 'step 2 of' 'the first is good'
keys -l -
wait_for 'the first error is step 2' 'the second is bad, which ends it'
is 'stepwise has the line' "$(export_of stepwise | field '(d["labels"], len(d["completions"]))')" "([True, False], 2)"
keys -l u
wait_for 'taken back: steps' 'a mark is taken back'
is 'then the line ends before it' "$(export_of stepwise | field 'd["labels"]')" "[True]"

keys -l e
wait_for '^answer> ' 'the answer is opened for a correction'
keys C-u
type_text 'Apple, pear, plum.'
keys Enter
wait_for 'correction kept' 'and corrected'
is 'dpo has the correction over the original' "$(export_of dpo | field 'sorted(x["chosen"][0]["content"] == "Apple, pear, plum." for x in lines)')" "[False, True]"
is 'sft learns the corrected text' "$(export_of sft | field '"Apple, pear, plum." in [x["messages"][-1]["content"] for x in lines]')" "True"
is 'kto counts it as good' "$(export_of kto | field '[x["label"] for x in lines if x["completion"][0]["content"] == "Apple, pear, plum."]')" "[True]"
keys Tab
keys -l u
wait_for 'taken back: edit' 'the correction is taken back'
is 'and gone from the export' "$(export_of dpo | grep -c 'Apple, pear')" 0
keys -l u
wait_for 'taken back: steps' 'the other mark too'
keys -l u
wait_for 'taken back: vote' 'and the vote'
is 'nothing is left to export' "$(export_of dpo | wc -l) $(export_of stepwise | wc -l) $(sql 'SELECT count(*) FROM votes')" "0 0 0"

keys Tab
keys -l r
wait_for 'version 3 of 3' 'a third version'
wait_for 'Ctrl-T think' 'is written'
keys Tab
keys -l v
wait_for '^ A .*budget 40.*│ B .*budget 40' 'versions are compared, not blind'
keys -l b
keys Enter
wait_for 'kept' 'and voted on'
is 'a vote that is not blind' "$(sql "SELECT blind, verdict, strength FROM pairs")" "0 b None"
keys C-c C-c
wait_for 'shell>' 'it ends' 20

run "clear; $ponder review"
wait_for 'review 1/3' 'a review begins'
keys -l +
wait_for 'answer + why' 'a rating'
keys Enter
wait_for 'review 2/3' 'the next one'
keys Escape
wait_for 'shell>' 'left' 20
run "clear; $ponder review"
wait_for 'review 2/2' 'it goes on where it was left'
keys -l q
wait_for 'shell>' 'the end' 20
is 'kto has the rating' "$(export_of kto | field '[x["label"] for x in lines]')" "[True]"

run "clear; $chat --private"
wait_for 'Nothing of this chat is kept' 'a private chat'
type_text 'Remember the word zanzibarquux.'
keys Enter
wait_for '▸ Thought' 'it thinks and answers'
wait_for 'Enter send' 'to the end'
keys Tab
keys -l +
wait_for 'answer + why' 'it is rated'
keys Escape
type_text 'zanzibarquux again, unsent'
wait_for 'again, unsent' 'a line is left unsent'
check 'no byte of it is on disk while it runs' sh -c "! grep -rqa zanzibarquux '$XDG_DATA_HOME' '$XDG_STATE_HOME' '$XDG_CACHE_HOME' '$XDG_CONFIG_HOME' 2>/dev/null"
keys C-c C-c
wait_for 'shell>' 'it ends too' 20
check 'nor afterwards' sh -c "! grep -rqa zanzibarquux '$XDG_DATA_HOME' '$XDG_STATE_HOME' '$XDG_CACHE_HOME' '$XDG_CONFIG_HOME' 2>/dev/null"

run "clear; $chat"
wait_for 'Enter send' 'it starts on the record'
type_text '/private'
keys Enter
wait_for 'Nothing of this chat is kept' 'a private conversation at any time'
type_text 'Say zanzibarquux.'
keys Enter
wait_for '▸ Thought' 'it answers'
wait_for 'Ctrl-T think' 'to the end'
type_text '/private off'
keys Enter
wait_for 'Everything is kept' 'back to the record'
keys Up
wait_for '> /private' 'the line typed last before it is the newest of the history'
keys C-c C-c
wait_for 'shell>' 'it ends' 20
check 'no byte of it is on disk' sh -c "! grep -rqa zanzibarquux '$XDG_DATA_HOME' '$XDG_STATE_HOME' '$XDG_CACHE_HOME' '$XDG_CONFIG_HOME' 2>/dev/null"
done_testing
