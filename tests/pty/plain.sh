#!/bin/sh
# Plain line mode: chosen by itself where the terminal cannot do better, quiet in pipes.
. tests/pty/lib
chat="$ponder -m $model --seed 3 --threads 2 --think-min 100000 --budget 30 --answer-max 20"

check 'no input: quiet and 0' sh -c "out=\$($chat --plain </dev/null 2>&1) && [ -z \"\$out\" ]"
printf 'Name a fruit.\n' | $chat >"$work/out" 2>"$work/err"
check 'a prompt from a pipe: 0' test $? -eq 0
check 'the thought has bars' grep -q '^| [A-Za-z]' "$work/out"
check 'the answer has none' grep -q '^[A-Za-z]' "$work/out"
check 'how the thought ended is told' grep -q '^\[thought for .* tokens, budget_' "$work/out"
check 'not one escape is written' sh -c "! grep -q \"\$(printf '\033')\" '$work/out' '$work/err'"
printf 'one\n/nonsense\n/quit\n' | $chat >"$work/out" 2>&1
check 'commands from a pipe come in order' sh -c "grep -q 'no command /nonsense' '$work/out'"
printf 'Name a fruit.\n' | $chat -m "$work/missing.gguf" >"$work/out" 2>&1
check 'a model that is not there: 3' test $? -eq 3

open_terminal
run "clear; TERM=dumb $chat"
wait_for '^> *$' 'TERM=dumb gets plain mode and a prompt'
type_text 'Name a fruit.'
keys Enter
wait_for '^| [A-Za-z]' 'the thought comes with bars'
wait_for '^\[thought for' 'and ends'
type_text '/budget 100000'
keys Enter
wait_for 'budget = 100000' 'settings change by slash lines'
type_text 'Name an animal.'
keys Enter
tm send-keys -R -t t
wait_for '^| [A-Za-z]' 'another thought'
type_text '/answer'
keys Enter
wait_for 'answer_now' 'live commands work'
keys C-d
wait_for 'shell>' 'Ctrl-D leaves' 20
done_testing
