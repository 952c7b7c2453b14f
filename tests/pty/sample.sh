#!/bin/sh
# Votes and comparisons in a real terminal with a real model, with typing and live keys meanwhile.
. tests/pty/lib
chat="$ponder -m $model --seed 3 --threads 2"

open_terminal 110 32
run "$chat --think-min 100000 --budget 5000 --answer-max 16"
wait_for 'ponder · .*Q4_1' 'the model is there'
type_text '/vote 4 Name a fruit.'
keys Enter
wait_for 'Vote… 0 of 4 done' 'four samples begin'
wait_for '^   4  thinking .*/5000 tok   …*[A-Za-z]' 'each shows what it thinks'
type_text 'half a'
wait_for '> half a' 'letters type meanwhile'
keys C-u
wait_for 'type ahead' 'and can be taken back'
keys F7
wait_for 'resume' 'F7 pauses all'
keys F7
wait_for 'F5 answer now' 'and lets them go on'
type_text '/budget 20'
keys Enter
wait_for 'Vote: .* of 4' 'a budget below what is used ends all of them'
wait_for '^ \* [1-4]  ' 'one has won'
wait_for '^   [1-4]  .* closed by budget\|^   [1-4]  .* answer cut' 'the others say how they ended'
wait_for 'version [1-4] of 4' 'the reply is one of four versions'
type_text '/pick 4'
keys Enter
wait_for '^ \* 4  ' 'another can be picked'
wait_for 'version 4 of 4' 'and is the version that goes on'
type_text '/compare 0 15 30'
keys Enter
wait_for '1 · budget 0  .*2 · budget 15  .*3 · budget 30' 'budgets are compared side by side'
wait_for '3 budgets, the same seed' 'and come to an end'
wait_for 'version 7 of 7' 'as versions of the same reply'
type_text '/vote 2'
keys Enter
wait_for 'Vote… ' 'the same prompt again'
keys Escape
wait_for 'Vote: ' 'Esc stops all of them'
keys C-d
wait_for 'shell>' 'Ctrl-D leaves'
run "$chat --continue"
wait_for 'Vote: ' 'the table is there again'
keys C-d
wait_for 'shell>' 'and leaves'
done_testing
