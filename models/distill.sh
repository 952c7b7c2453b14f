#!/bin/sh
# The recipe of models/README.md, a step a call: distill.sh chat | data | cold | more | keep | wide | grpo | sample | final | dpo | all. Each step can be stopped and called
# again: it goes on where it was, and a step that is done is not done again. A step's adapter becomes the best one only if it scores higher on held-out items.
# Where it works: DISTILL (build/distill). What it asks: PONDER (build/ponder), THREADS.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
PONDER=${PONDER:-$root/build/ponder} W=${DISTILL:-$root/build/distill} BASE=${BASE:-smollm2-135m} TEACHER=${TEACHER:-qwen2.5-coder-1.5b}
mkdir -p "$W" && W=$(cd "$W" && pwd)
say() { echo "distill: $*" >&2; }
# The mean over families of what is right at the largest budget, out of a table of `ponder eval`.
score_of() { awk -F, '$1 == "adapter" && $4 == 1 && $3 == 256 && $2 !~ /:/ { s += $6 / $5; n++ } END { printf "%.4f\n", n ? s / n : 0 }' "$1"; }
# NAME: measures W/NAME.gguf and makes it the best one if it is better.
judge() {
    [ -s "$W/$1.csv" ] || "$PONDER" eval "$root/models/eval.ini" --only adapter --adapter "$W/$1.gguf" -o "$W/$1.part" >"$W/$1.txt"
    [ -s "$W/$1.csv" ] || mv "$W/$1.part" "$W/$1.csv"
    new=$(score_of "$W/$1.csv") old=$(cat "$W/best.score" 2>/dev/null || echo 0)
    if awk "BEGIN { exit !($new > $old) }"; then
        cp "$W/$1.gguf" "$W/best.gguf" && echo "$new" >"$W/best.score" && say "$1: $new, better than $old: kept"
    else
        say "$1: $new, not better than $old: left out"
    fi
    grep -q "^$1," "$W/steps.csv" 2>/dev/null || echo "$1,$new,$old" >>"$W/steps.csv"
}
# NAME KIND DATA [OPTION...]: trains W/NAME.gguf, or goes on with it.
teach() {
    name=$1 kind=$2 data=$3; shift 3
    if [ ! -f "$W/$name.done" ]; then
        "$PONDER" train "$kind" --base "$BASE" --data "$data" -o "$W/$name.gguf" --cot off --resume ${THREADS:+--threads "$THREADS"} "$@"
        : >"$W/$name.done"
    fi
    judge "$name"
}
# FILE COMMAND...: makes a file of a command's output, all or nothing.
make_file() { to=$1; shift; [ -s "$to" ] || { "$@" >"$to.part" && mv "$to.part" "$to"; }; }

# NAME ASKED [SED]: W/NAME.raw, what the model itself says to what choose.py ASKED makes, with chat.ini changed by SED.
says() {
    make_file "$W/$2.jsonl" python3 "$root/models/choose.py" "$2"
    { sed "${3:-}" "$root/models/chat.ini"; echo "[set $1]"; echo "file = $W/$2.jsonl"; } >"$W/$1.ini"
    make_file "$W/$1.raw" replies_of "$W/$1.ini" --only base
}
chat() {
    says chat prompts
    make_file "$W/chat.jsonl" python3 "$root/models/choose.py" chat "$W/chat.raw"
}
# INI OPTION...: the replies of an eval.
replies_of() { "$PONDER" eval "$@" --replies "$W/replies.part" >/dev/null && cat "$W/replies.part" && rm -f "$W/replies.part"; }
# Most of the easier levels, some of the third; more of what takes long to learn.
HARD=product,equation,sort,fraction,gcd,lcm,base,calendar,unit,letters,backward,path,sequence
traces() {
    n=${ITEMS:-12000}
    "$PONDER" tasks --level 1..2 --count $((n * 64 / 100)) --seed 1 --fast 8 --cut 5 --mix "$W/chat.jsonl"
    "$PONDER" tasks --family $HARD --level 1..2 --count $((n * 24 / 100)) --seed 11 --fast 6 --cut 5
    "$PONDER" tasks --level 3 --count $((n * 12 / 100)) --seed 21 --fast 6 --cut 5
}
data() {
    chat
    make_file "$W/traces.jsonl" traces
    make_file "$W/valid.jsonl" "$PONDER" tasks --level 1..3 --count 60 --seed 2 --half held-out
}
# NAME DATA OPTION...: supervised, on exercises
exercise() { name=$1 from=$2; shift 2; teach "$name" sft "$from" --valid "$W/valid.jsonl" --rank 16 --lowest 0 --batch 1536 --at-once 1536 --epochs 1 --max-length 320 "$@"; }
cold() { data; exercise cold "$W/traces.jsonl" --lr 1.5e-3 --warmup 0.03; }
# The same on other exercises, more of what is hard, and twice what the model itself says, so that it keeps that.
more_traces() {
    n=${MORE_ITEMS:-18000}
    "$PONDER" tasks --level 1..2 --count $((n * 50 / 100)) --seed 41 --fast 6 --cut 4 --mix "$W/chat.jsonl"
    "$PONDER" tasks --family $HARD,clock,countdown,word --level 1..2 --count $((n * 30 / 100)) --seed 51 --fast 6 --cut 4 --mix "$W/chat.jsonl"
    "$PONDER" tasks --level 3 --count $((n * 20 / 100)) --seed 61 --fast 6 --cut 4
}
more() {
    data
    make_file "$W/more.jsonl" more_traces
    exercise more "$W/more.jsonl" --init "$W/best.gguf" --lr 1.2e-3 --warmup 0.02 --seed 3
}
# Once more, with what is slow to learn; and ordinary text, where the adapter is led back to what the model alone says.
keep_traces() {
    n=${KEEP_ITEMS:-10000}
    "$PONDER" tasks --level 1..2 --count $((n * 45 / 100)) --seed 71 --fast 6 --cut 4 --mix "$W/chat.jsonl"
    "$PONDER" tasks --family $HARD,clock,countdown,word --level 1..2 --count $((n * 28 / 100)) --seed 81 --fast 6 --cut 4
    "$PONDER" tasks --family sort,base,backward,letters --level 1..2 --count $((n * 10 / 100)) --seed 91 --fast 6 --cut 4
    "$PONDER" tasks --level 3 --count $((n * 17 / 100)) --seed 101 --fast 6 --cut 4
    python3 "$root/models/choose.py" keep "$W/chat.raw" "$W/chat.raw"
}
keep() {
    data
    make_file "$W/keep.jsonl" keep_traces
    exercise keep "$W/keep.jsonl" --init "$W/best.gguf" --lr 1e-3 --warmup 0.02 --seed 5
}
# Further up: the fourth level where a thought stays short, spelling by itself, and much more text of more kinds to be held to.
wide_traces() {
    n=${WIDE_ITEMS:-12000}
    "$PONDER" tasks --level 1..2 --count $((n * 30 / 100)) --seed 111 --fast 6 --cut 4 --mix "$W/chat.jsonl"
    "$PONDER" tasks --level 3 --count $((n * 20 / 100)) --seed 121 --fast 6 --cut 4
    "$PONDER" tasks --family sum,arithmetic,product,equation,gcd,lcm,fraction,base,bits,calendar,letters,backward,legs --level 4 --count $((n * 24 / 100)) --seed 131 --fast 6 --cut 4
    "$PONDER" tasks --family letters,backward --level 1..4 --count $((n * 16 / 100)) --seed 141 --fast 8 --cut 4
    "$PONDER" tasks --family compare,gcd,countdown,path,sort --level 2..3 --count $((n * 10 / 100)) --seed 151 --fast 6 --cut 4
    python3 "$root/models/choose.py" keep "$W/chat.raw" "$W/texts.raw" "$W/texts.raw"
}
wide() {
    data
    says texts texts 's/^single_temp.*/single_temp = 1/; s/^seed.*/seed = 10/'
    make_file "$W/wide.jsonl" wide_traces
    exercise wide "$W/wide.jsonl" --init "$W/best.gguf" --lr 1e-3 --warmup 0.02 --seed 7
}
grpo() {
    make_file "$W/questions.jsonl" "$PONDER" tasks --level 1..3 --count 4000 --seed 3 --format questions --half training
    teach grpo grpo "$W/questions.jsonl" --init "$W/best.gguf" --steps "${GRPO_STEPS:-100}"
}
# NAME MODEL TASKS OPTION...: what is worth learning of eight replies to each question, and pairs
distilled() {
    to=$1 model=$2 tasks=$3; shift 3
    [ -s "$W/$to.jsonl" ] || "$PONDER" distill --teacher "$model" --tasks "$tasks" --level 1..3 --count 40 --samples 8 --seed 31337 --data "$W/$to.jsonl" --pairs "$W/$to.pairs" \
        --replies "$W/$to.replies" --resume ${THREADS:+--threads "$THREADS"} "$@"
}
sample() {
    distilled sampled "$BASE" all --adapter "$W/best.gguf"
    # the teacher, on what is told in words
    if "$PONDER" info "$TEACHER" >/dev/null 2>&1; then distilled taught "$TEACHER" word; else say "the teacher $TEACHER is not there: left out"; : >"$W/taught.jsonl"; fi
}
final() {
    sample
    make_file "$W/union.jsonl" union
    teach final sft "$W/union.jsonl" --valid "$W/valid.jsonl" --init "$W/best.gguf" --lr 2e-4 --epochs 1 --max-length 384
}
union() { cat "$W/traces.jsonl" "$W/sampled.jsonl" "$W/taught.jsonl"; }
dpo() {
    sample
    teach dpo dpo "$W/sampled.pairs" --init "$W/best.gguf" --lr 1e-5 --beta 0.1 --epochs 1 --max-length 384
}
case ${1:-all} in
chat | data | cold | more | keep | wide | grpo | sample | final | dpo) "$1" ;;
all) cold; more; keep; wide; grpo; final; dpo; say "the best adapter: $W/best.gguf, $(cat "$W/best.score")"; cat "$W/steps.csv" ;;
*) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
