#!/bin/sh
# The full-screen program evaluates ahead while nobody types, keeps it on disk, and lets it go with its conversation.
. tests/pty/lib
kv=$XDG_CACHE_HOME/ponder/kv
chat="$ponder -m $model --seed 3 --threads 2 --budget 10 --answer-max 30"
files() { find "$kv" -name '*.kv' 2>/dev/null | sort; }
# file_comes BEFORE NAME: files other than BEFORE are there, and stay so while nobody types
file_comes() {
    limit=$(($(date +%s) + 60))
    until [ -n "$(files)" ] && [ "$(files)" != "$1" ]; do
        [ "$(date +%s)" -lt "$limit" ] || break
        sleep 0.1
    done
    check "$2" [ "$(files)" != "$1" ]
}
# counts: tokens of the prompt that were found evaluated, and the others, of an answer by another process
counts() {
    "$ponder" ask -m "$model" --budget 4 --answer-max 4 --json --continue "$1" </dev/null | tail -n 1 |
        python3 -c 'import json,sys; e=json.loads(sys.stdin.read()); print(e["prompt_tokens"] - e["prompt_evaluated"], e["prompt_evaluated"])'
}

open_terminal
run "$chat"
wait_for 'Enter send' 'the screen comes up'
type_text 'Name three fruits that grow on trees, and say where.'
keys Enter
wait_for '▸ Thought ' 'a reply comes'
wait_for 'Ctrl-T think' 'and ends'
file_comes "" 'what it was made of goes to disk'
first=$(files)
type_text 'And three animals.'
keys Enter
file_comes "$first" 'the second reply adds to it'
pid=$(program_pid)
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
sleep 1
before=$(ticks)
sleep 2
check 'then the program sleeps' [ $(($(ticks) - before)) -le 30 ]
type_text '/quit'
keys Enter
wait_for 'shell>' 'it quits'
set -- $(counts 'Why?')
check 'another process evaluates its own message alone' [ "$1" -gt 80 -a "$2" -le 16 ]
run "$chat --continue"
wait_for 'Why?' 'the conversation opens again'
keys F3
wait_for 'Enter open' 'the list of conversations'
keys DC
wait_for 'nothing here yet' 'Delete takes it out of the list'
keys Escape
wait_gone 'nothing here yet' 'the list is left'
run '/quit'
wait_for 'shell>' 'it quits again'
check 'and leaving erases it: nothing of it is on disk' [ -z "$(files)" ]
run "$chat --private"
wait_for 'Enter send' 'a private chat'
type_text 'Name a fruit.'
keys Enter
wait_for '▸ Thought ' 'a reply comes in private'
wait_for 'Ctrl-T think' 'and ends in private'
sleep 1.5
run '/quit'
wait_for 'shell>' 'it quits for good'
check 'a private chat leaves nothing' [ -z "$(files)" ]
done_testing
