#!/bin/sh
# A thought steered while it runs, on the screen and in the record: a budget lowered, a budget in seconds, a word put in. The larger model where it is here,
# the default one for all that does not ask for sense.
. tests/pty/lib
big=${PONDER_TEST_MODEL_BIG:-$(dirname "$model")/Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf}

# sql QUERY: the answer's first row from the record, values between blanks
sql() {
    python3 -c 'import sqlite3, sys
print(*(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone() or ["nothing"]))' "$XDG_DATA_HOME/ponder/ponder.db" "$1"
}
newest="(SELECT max(message) FROM replies)"

# is_row NAME QUERY ROW
is_row() {
    row=$(sql "$2")
    if [ "$row" = "$3" ]; then pass "$1"; else fail "$1" "got: $row" "want: $3" "$(screen)"; fi
}

# A budget lowered below what is used closes the thought within 32 tokens, and an answer follows.
lowered() { # NAME MODEL
    run "clear; $ponder -m $2 --seed 7 --threads 2 --budget 2000 --think-min 1900 --answer-max 24"
    wait_for 'Enter send' "$1: the screen comes up" 120
    type_text 'A bat and a ball cost 1.10 together. The bat costs 1.00 more than the ball. What does the ball cost?'
    keys Enter
    wait_for 'Thinking… .* \([4-9][0-9]\|[1-9][0-9][0-9]\)/2000 tok' "$1: it thinks, with a budget of 2000" 300
    type_text '/budget 40'
    keys Enter
    wait_for 'Thought .* closed by budget' "$1: the thought closes" 120
    wait_for 'Ctrl-T think' "$1: the answer comes to its end" 120
    is_row "$1: within 32 tokens of the new budget, with an answer" "SELECT c.position - b.position <= 32, r.ended LIKE 'budget%', r.answer_tokens > 0, r.budget_final
        FROM replies r JOIN events b ON b.message = r.message AND b.kind = 'budget' AND b.value = '40'
        JOIN events c ON c.message = r.message AND c.kind = 'closed' WHERE r.message = $newest" "1 1 1 40"
    keys C-d
    wait_for 'shell>' "$1: Ctrl-D leaves" 20
}

# Seconds of running time, kept although the model may not end the thought by itself.
seconds() { # NAME MODEL
    run "clear; $ponder -m $2 --seed 7 --threads 2 --think-min 5000 --no-loop-guard --answer-max 8"
    wait_for 'Enter send' "$1: the screen comes up" 120
    type_text '/budget 5s'
    keys Enter
    wait_for 'budget: 5s' "$1: a budget of five seconds"
    type_text 'Tell a very long story about the sea.'
    keys Enter
    wait_for 'Thinking… *[0-5]/5 s' "$1: the header counts seconds" 300
    wait_for 'Thought for [0-9]* s .* closed by budget' "$1: the thought closes" 60
    wait_for 'Ctrl-T think' "$1: the answer comes to its end" 120
    # the closing words are part of the thought, and how long they will take is guessed from the speed so far
    echo "# $(sql "SELECT thought_ms, tokens_per_s FROM replies WHERE message = $newest") ms of thought, tokens a second"
    is_row "$1: five seconds, but for one and a dozen tokens" "SELECT abs(thought_ms - 5000) <= 1000 + 12000 / tokens_per_s, ended LIKE 'budget%', budget FROM replies WHERE message = $newest" "1 1 5s"
    keys C-d
    wait_for 'shell>' "$1: Ctrl-D leaves" 20
}

# What is said becomes part of the thought, marked as the reader's; up to there it is what it would have been, behind it it is not.
said() { # NAME MODEL
    question='A bat and a ball cost 1.10 together. The bat costs 1.00 more than the ball. What does the ball cost?'
    steady="-m $2 --seed 7 --temp 0 --threads 2 --budget 150 --answer-max 40"
    "$ponder" ask $steady "$question" </dev/null >/dev/null 2>&1
    unsaid=$(sql "SELECT message FROM replies WHERE message = $newest")
    run "clear; $ponder $steady"
    wait_for 'Enter send' "$1: the screen comes up" 120
    type_text "$question"
    keys Enter
    wait_for 'Thinking… .* [1-9][0-9]*/150 tok' "$1: it thinks" 300
    type_text '/say Forget the ball. The only question is now: what is the capital of France?'
    keys Enter
    wait_for 'capital of France' "$1: the words stand in the thought"
    wait_for 'Ctrl-T think' "$1: the answer comes to its end" 300
    is_row "$1: recorded as the reader's" "SELECT s.author, CAST(substr(CAST(m.thought AS BLOB), s.byte_offset + 1, s.byte_length) AS TEXT) LIKE '%Forget the ball%capital of France%'
        FROM spans s JOIN messages m ON m.id = s.message WHERE m.id = $newest AND s.author = 'user'" "user 1"
    is_row "$1: up to there it thought the same" "SELECT substr(u.thought, 1, instr(m.thought, 'Forget the ball') - 3) = substr(m.thought, 1, instr(m.thought, 'Forget the ball') - 3)
        FROM messages m, messages u WHERE m.id = $newest AND u.id = $unsaid" "1"
    # when the words come is a matter of this machine's speed, and so is what is made of them: only that it is something else is sure
    is_row "$1: and something else from there" "SELECT substr(u.thought, instr(m.thought, 'Forget the ball') - 2, 20) IN (substr(m.thought, instr(m.thought, 'of France?') + 10, 20), substr(m.thought, instr(m.thought, 'of France?') + 11, 20))
        FROM messages m, messages u WHERE m.id = $newest AND u.id = $unsaid" "0"
    echo "# of Paris: $(sql "SELECT substr(m.thought, instr(m.thought, 'of France?')) || m.text LIKE '%Paris%' FROM messages m WHERE m.id = $newest")"
    keys C-d
    wait_for 'shell>' "$1: Ctrl-D leaves" 20
}

open_terminal 100 30
lowered 135M "$model"
seconds 135M "$model"
if [ -r "$big" ]; then
    lowered 1.5B "$big"
    seconds 1.5B "$big"
    said 1.5B "$big"
else
    pass "the larger model is steered # SKIP not at $big (make model-1.5b)"
fi
done_testing
