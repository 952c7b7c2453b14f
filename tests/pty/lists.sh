#!/bin/sh
# Lists, branches, settings, drafts and sizes in a real terminal with a real model.
. tests/pty/lib
chat="$ponder -m $model --seed 3 --threads 2 --answer-max 12 --budget 25"

mkdir -p "$work/data/ponder/models"
ln -s "$(realpath "$model")" "$work/data/ponder/models/"
open_terminal
run "$chat"
wait_for 'Enter send' 'the screen comes up'
type_text 'Name three fruits.'
keys Enter
wait_for '▸ Thought' 'a first reply'
wait_for 'Ctrl-T think' 'comes to its end' 180

# another answer below the same thought, and back
keys Tab
wait_for 'rate thought' 'reading focus'
keys R
wait_for 'version 2 of 2' 'R writes the answer again'
wait_for 'Ctrl-T think' 'to its end' 180
keys Tab
wait_for 'rate thought' 'reading focus again'
keys -l '<'
wait_for 'version 1 of 2' '< shows the version before'
keys -l 't'
wait_for '├ ○\|├ ●' 't shows the tree of branches'
keys Escape
keys Escape
wait_for 'Enter send' 'and Esc goes back to writing'

# a thought gone on with
keys Tab
wait_for 'rate thought' 'reading focus once more'
keys B
wait_for 'go on from' 'B shows the sentences of the thought'
keys Home Enter
wait_for 'version 3 of 3' 'and Enter goes on from the first' 90
wait_for 'Ctrl-T think' 'to the end' 180

# settings are kept
keys F9
wait_for '─ settings ─' 'F9 shows the settings'
type_text 'where thoughts are'
wait_for 'layout  *inline' 'searching finds one by its help'
keys Enter
wait_for 'layout = side, kept in ponder.ini' 'Enter turns a choice'
check 'ponder.ini has it' grep -q '^layout = side' "$work/config/ponder/ponder.ini"
keys Escape
wait_gone '─ settings ─' 'Esc closes them'
keys F4
wait_for 'Q4_1 .*MB  *[ft]' 'the model picker shows quantisation, size and fit'
keys Escape
wait_gone '─ models ─' 'and closes'

# rename, tag, delete, bring back
keys F3
wait_for 'Name three fruits' 'the conversation is in the list'
keys F2
wait_for 'name: ' 'F2 renames'
keys C-u
type_text 'fruit talk'
keys Enter
wait_for '│ fruit talk' 'it has its new name'
keys C-t
wait_for 'tags: ' 'Ctrl-T tags'
type_text 'food'
keys Enter
wait_for '#food' 'it has its tag'
keys DC
wait_for 'Ctrl-R brings it back' 'Delete takes it out of the list'
keys C-r
wait_for '│ fruit talk' 'Ctrl-R brings it back'
keys Enter
wait_gone '─ conversations ─' 'Enter opens it'

# file names, drafts over a crash
printf 'the text of a file\n' >"$work/notes.txt"
type_text "/read $work/not"
keys Tab
wait_for 'notes.txt' 'Tab completes a file name'
keys Enter
wait_for 'the text of a file' '/read puts the file into the prompt'
check 'and sends nothing' sh -c "! tmux -L $socket capture-pane -p -t t | grep -q Thinking…"
keys C-u C-c
type_text 'a draft before the crash'
sleep 1.5
kill -KILL "$(program_pid)"
wait_for 'shell>' 'it is killed' 20
# the terminal is as the killed program left it: Enter is no newline there
type_text "stty sane; printf '\\033[?1049l'; clear; $chat --continue"
keys C-j
wait_for 'Enter send · Alt-Enter' 'it starts again'
wait_for 'a draft before the crash' 'the draft outlives a crash'
keys C-u

# many sizes in a row, while it writes
type_text '/budget 5000'
keys Enter
type_text 'Tell me a long story.'
keys Enter
wait_for 'Thinking…' 'it thinks'
for i in 1 2 3 4 5 6 7 8; do
    tm resize-window -t t -x $((20 + i * 13)) -y $((5 + i * 4))
done
tm resize-window -t t -x 80 -y 24
type_text 'still here'
wait_for '> still here' 'a storm of sizes leaves it in order'
check 'with the title in the first line' sh -c "tmux -L $socket capture-pane -p -t t | head -n 1 | grep -q '^ ponder ·'"
wait_for '────────────────────────────────────────────────────────────' 'the last size is taken'
wait_for 'Enter queue' 'hints are there'
check 'and one line of hints at the end' sh -c "tmux -L $socket capture-pane -p -t t | tail -n 1 | grep -q 'Enter queue'"
keys C-u
keys Escape
wait_for 'stopped' 'Esc stops it'

# the wheel, a click, and neither with the mouse off
tm resize-window -t t -x 80 -y 10
wait_for 'Enter send' 'a low window'
keys -l "$(printf '\033[<64;10;5M\033[<64;10;5M')"
wait_for 'more line' 'the wheel scrolls up'
keys End
wait_gone 'more line' 'End follows again'
type_text '/set mouse off'
keys Enter
wait_for 'mouse = off' 'the mouse is given back'
check 'and the terminal was told' sh -c "[ \"\$(tmux -L $socket display-message -p -t t '#{mouse_any_flag}')\" = 0 ]"
keys C-c C-c
wait_for 'shell>' 'the end' 20
done_testing
