#!/bin/sh
# The full-screen program in a real terminal with a real model: ask, watch the thought, steer it, rate, leave, come back.
. tests/pty/lib
chat="$ponder -m $model --seed 3 --threads 2"

open_terminal
run "$chat --think-min 100000 --budget 5000 --answer-max 40"
wait_for 'Enter send' 'the screen comes up'
wait_for 'ponder · .*Q4_1' 'the model is named in the title'

type_text 'Name three fruits.'
keys Enter
wait_for '▾ Thinking… .*/5000 tok' 'the thought opens while it thinks'
wait_for '^ [│┆] [A-Za-z]' 'its text streams'
type_text 'half a'
wait_for '> half a' 'letters type while it thinks'
keys C-u
wait_for 'type ahead' 'and the line can be emptied'
keys -l '-'
wait_for 'budget of this reply: 4750 tok' 'minus on an empty line lowers the budget'
wait_for '/4750 tok' 'the header shows the new one'
type_text '/budget 10'
keys Enter
wait_for '▸ Thought .* closed by budget' 'a budget below what is used closes the thought, which folds'
wait_for 'Ctrl-T think' 'the answer comes to its end'

keys C-o
wait_for '▾ Thought [fb]' 'Ctrl-O opens it again'
keys C-o
wait_for '▸ Thought [fb]' 'and folds it'

type_text '/budget 5000'
keys Enter
wait_for 'budget: 5000' 'a budget for the replies from now on'
type_text 'Name three animals.'
keys Enter
wait_for 'Thinking… .*/5000 tok' 'the second thought begins'
type_text 'Name three colours.'
keys Enter
wait_for 'queued: Name three colours' 'a prompt typed ahead is queued'
keys F7
wait_for 'Paused at' 'F7 pauses'
keys F7
wait_for 'Thinking…' 'and resumes'
keys F5
wait_for 'answered on demand' 'F5 answers now'
wait_gone 'queued:' 'then the queued prompt is sent'
wait_for 'Thinking… .*/5000 tok' 'and thought about'
keys Escape
wait_for 'tok · stopped' 'Esc stops it, and the thought says so'

keys Tab
wait_for 'rate thought' 'Tab on an empty line reads'
keys -l ']'
wait_for 'tok · stopped · rated +' 'a key rates the thought'
keys k k
keys -l '+'
wait_for 'answer + why?' 'and another the answer, and asks why'
keys Escape
wait_for 'Enter send' 'Esc goes back to writing'

printf 'pasted one\npasted two\n' >"$work/paste"
tm load-buffer "$work/paste"
tm paste-buffer -p -t t
wait_for '^  pasted two' 'a paste stays in the line'
check 'and sends nothing' sh -c "! tmux -L $socket capture-pane -p -t t | grep -q Thinking…"
keys C-c
wait_gone 'pasted two' 'Ctrl-C empties the line'

tm resize-window -t t -x 44 -y 12
wait_for '^> *$' 'a smaller window is drawn'
check 'no line is longer than it' sh -c "[ \$(tmux -L $socket capture-pane -p -t t | wc -L) -le 44 ]"
tm resize-window -t t -x 120 -y 30
wait_for 'Tab read' 'a larger one too'
type_text '/layout side'
keys Enter
wait_for '│ thought' 'thoughts beside the answers'
type_text '/layout inline'
keys Enter
wait_gone '│ thought' 'and above them again'
tm resize-window -t t -x 80 -y 24

keys F1
wait_for 'While you write' 'F1 shows help'
keys Escape
wait_gone 'While you write' 'Esc closes it'
type_text '/fooo'
keys Enter
wait_for 'there is no command /fooo' 'a mistyped command is an error'
keys C-u

type_text 'a draft for later'
wait_for 'a draft for later' 'a draft is begun'
type_text '!'
keys C-a C-k
type_text '/quit'
keys Enter
wait_for 'shell>' 'it quits' 20
wait_for 'ponder --resume [0-9]' 'and says how to come back'
run "echo code \$?"
wait_for 'code 0' 'with code 0'

run "clear; $chat --continue"
wait_for 'Name three colours' '--continue shows the conversation'
wait_for 'stopped · rated +' 'with its ratings and endings'
type_text 'a draft that survives'
wait_for 'a draft that survives' 'a draft is typed'
kill -TERM "$(program_pid)"
wait_for 'shell>' 'SIGTERM ends it' 20
run "echo code \$?"
wait_for 'code 143' 'with code 128 + 15'
run 'stty -a | grep -o " icanon.* echo "'
wait_for 'icanon.* echo' 'and a terminal that works'
run "clear; $chat --continue"
wait_for 'a draft that survives' 'the draft is there again'
keys C-c
wait_for 'Ctrl-C again quits' 'Ctrl-C warns'
keys C-c
wait_for 'shell>' 'twice quits' 20

run 'clear; set -m'
run "clear; $chat"
wait_for 'Enter send' 'it starts under job control'
keys C-z
wait_for 'shell>' 'Ctrl-Z suspends' 20
run 'clear; echo in''between'
wait_for 'inbetween' 'the shell works'
run 'fg'
wait_for 'Enter send' 'fg brings it back'
type_text 'still here'
wait_for '> still here' 'and it takes keys'
keys C-u C-d
wait_for 'shell>' 'Ctrl-D on an empty line quits' 20

printf '#!/bin/sh\necho edited text >>"$1"\n' >"$work/editor"
chmod +x "$work/editor"
run "clear; EDITOR=$work/editor $chat"
wait_for 'Enter send' 'it starts with an editor'
type_text 'typed '
keys C-x C-e
wait_for 'edited text' 'Ctrl-X Ctrl-E brings the text from the editor'
check 'nothing was sent' sh -c "! tmux -L $socket capture-pane -p -t t | grep -q Thinking…"
keys C-u C-u C-c C-c
wait_for 'shell>' 'and out' 20

run "clear; $chat --continue"
wait_for 'Enter send' 'it starts once more'
type_text 'typed when the line broke'
wait_for 'when the line broke' 'something is typed'
pid=$(program_pid)
tm kill-server
limit=$(($(date +%s) + 20))
while kill -0 "$pid" 2>/dev/null && [ "$(date +%s)" -lt "$limit" ]; do sleep 0.05; done
open_terminal
run "clear; $chat --continue"
wait_for 'typed when the line broke' 'a terminal that goes away costs nothing that was typed'
keys C-c C-c
wait_for 'shell>' 'the end' 20
done_testing
