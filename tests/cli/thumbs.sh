#!/bin/sh
# A user's story: 60 answers rated with thumbs, exported, learnt with ponder train kto. On questions that were in none of them, answers of the kind that was
# liked become more probable against those of the kind that was not, told by the engine with the adapter loaded and not by the trainer. Thumbs the
# other way round teach the opposite, and training at a rate of nothing nothing. PONDER_LONG does it with the default model.
. "$(dirname "$0")/lib/tap.sh"
cd "$(dirname "$0")/../.." || exit 1
template=tests/vectors/templates/smollm2.jinja

# The conversations as another program keeps them, and pairs of answers to other questions: what is liked is short, what is not goes round the question.
python3 - "$T" <<'P'
import json, sys
t = sys.argv[1]
things = [("lemon", "a yellow fruit"), ("robin", "a small bird"), ("spoon", "a tool to eat with"), ("violin", "a string instrument"), ("canoe", "a narrow boat"), ("oak", "a large tree"),
          ("salmon", "a fish"), ("tulip", "a spring flower"), ("hammer", "a tool for nails"), ("sparrow", "a grey bird"), ("copper", "a red metal"), ("pony", "a small horse"),
          ("scarf", "a warm cloth"), ("barley", "a grain"), ("kettle", "a pot for water"), ("lantern", "a lamp"), ("beetle", "an insect"), ("harbor", "a place for ships")]
asks = ["What is a %s?", "Tell me what a %s is.", "Explain the word %s.", "I do not know the word %s. What does it mean?"]
def liked(thing, what): return f"A {thing} is {what}." if thing != "oak" else f"An oak is {what}."
def disliked(thing, what): return f"Well, that is hard to say. There are many views about {thing}s, and it depends."
rows = [(ask % thing, thing, what) for ask in asks for thing, what in things]    # the first 60 are rated, the last 12 held out
def put(name, lines):
    with open(t + "/" + name, "w") as f:
        f.writelines(json.dumps(l) + "\n" for l in lines)
def chat(q, a): return [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
put("chats.jsonl", [{"messages": chat(q, (disliked if i % 2 else liked)(th, w))} for i, (q, th, w) in enumerate(rows[:60])])
put("pairs.jsonl", [{"prompt": chat(q, "")[:1], "completion": chat("", f(th, w))[1:], "label": f is liked} for q, th, w in rows[60:] for f in (liked, disliked)])
P
"$PONDER" import "$T/chats.jsonl" >"$T/out" 2>&1
like "60 chats of another program" "$(cat "$T/out")" '60 conversations .*120 messages'
python3 - "$XDG_DATA_HOME/ponder/ponder.db" >"$T/thumbs" <<'P'
import sqlite3, sys
for m, answer in sqlite3.connect(sys.argv[1]).execute("SELECT message_id, answer FROM turns ORDER BY message_id"): print(m, "down" if answer.startswith("Well") else "up")
P
while read -r m thumb; do "$PONDER" rate "$m" --answer "$thumb" >/dev/null || echo "m$m" >>"$T/failed"; done <"$T/thumbs"
is "each gets a thumb" "$(grep -c down "$T/thumbs") $(grep -c up "$T/thumbs") $(cat "$T/failed" 2>/dev/null)" "30 30 "
"$PONDER" export --format kto -o "$T/ratings" >"$T/out" 2>&1
is "exported as a folder" "$? $(cat "$T/ratings"/*.jsonl | wc -l) $(cat "$T/ratings"/*.jsonl | grep -c '"label": *true')" "0 60 30"
sed 's/"label": *true/"label":null/; s/"label": *false/"label":true/; s/"label":null/"label":false/' "$T/ratings/train.jsonl" >"$T/turned.jsonl"

# MODEL [OPTION...]: mean over the held-out pairs of log p(liked) - log p(disliked), by the engine
worth() {
    python3 - "$PONDER" "$T/pairs.jsonl" $template "$@" <<'P'
import json, subprocess, sys
ponder, pairs, template, model, *more = sys.argv[1:]
rows = [json.loads(l) for l in open(pairs)]
def run(args, text): return subprocess.run([ponder, "inspect", *args], input=text, capture_output=True, text=True, check=True).stdout
prompts = [json.loads(l) for l in run(["prompt", "--template", template, "--think", "off", "--force-off"], "".join(json.dumps({"messages": r["prompt"]}) + "\n" for r in rows)).splitlines()]
def ids(texts, *flags): return run(["tokenize", "-m", model, "--special"], "".join(t + "\x1e" for t in texts)).splitlines()
before, reply = ids(prompts), ids([r["completion"][0]["content"] + "<|im_end|>" for r in rows])
lines = run(["logits", "-m", model, "--next", *more], "".join(a + " " + b + "\n" for a, b in zip(before, reply))).splitlines()
lp = [sum(json.loads(l)[-len(b.split()):]) for l, b in zip(lines, reply)]
print(sum(p if r["label"] else -p for p, r in zip(lp, rows)) / (len(rows) / 2))
P
}
# NAME MODEL SETTING...: what training comes to
teach() {
    name=$1 model=$2 data=$3; shift 3
    "$PONDER" train kto --base "$model" --data "$data" --valid "$T/pairs.jsonl" -o "$T/$name.gguf" "$@" >"$T/out" 2>"$T/err" </dev/null
    is "$name: trained" "$? $(ls "$T/$name.gguf" 2>&1)" "0 $T/$name.gguf"
}
moved() { python3 -c 'import sys; a, b, most = map(float, sys.argv[1:]); d = b - a; print("rose" if d > most else "fell" if d < -most else "stayed")' "$@"; }
# the trainer's own figure: half the difference, times beta
told() { python3 -c 'import json, sys
valid = [r["margin"] for r in map(json.loads, open(sys.argv[1])) if "valid_loss" in r]
ours, theirs = (float(sys.argv[3]) - float(sys.argv[2])) * 0.1 / 2, valid[-1] - valid[0]
print("the same" if abs(ours - theirs) < 0.03 * abs(ours) + 0.002 else (ours, theirs))' "$@"; }
story() { # NAME MODEL LEAST SETTING...
    name=$1 model=$2 least=$3; shift 3
    before=$(worth "$model")
    teach "$name" "$model" "$T/ratings" "$@"
    after=$(worth "$model" --lora "$T/$name.gguf")
    is "$name: liked against disliked on held-out pairs" "$(moved "$before" "$after" "$least")" rose
    is "$name: the trainer says as much" "$(told "$T/$name.gguf.jsonl" "$before" "$after")" "the same"
    "$PONDER" ask -m "$model" --lora "$T/$name.gguf" --private --seed 1 --answer-max 24 --budget off "What is a kettle?" >"$T/said" 2>"$T/err" </dev/null
    is "$name: a chat takes the adapter" "$?" 0
}

python3 tests/fault/lib/tiny.py "$T/base.gguf" || exit 1
tiny="--rank 4 --batch 900 --at-once 900 --max-length 400 --threads 1"
story "a tiny model" "$T/base.gguf" 5 $tiny --lr 0.003 --epochs 4
teach "turned" "$T/base.gguf" "$T/turned.jsonl" $tiny --lr 0.003 --epochs 4
is "thumbs turned round teach the opposite" "$(moved "$before" "$(worth "$T/base.gguf" --lora "$T/turned.gguf")" 5)" fell
teach "idle" "$T/base.gguf" "$T/ratings" $tiny --lr 0 --epochs 1
is "a rate of nothing teaches nothing" "$(moved "$before" "$(worth "$T/base.gguf" --lora "$T/idle.gguf")" 0.001)" stayed
if [ -z "$PONDER_LONG" ]; then skip "the default model" "takes a minute (make test-long)"; finish; fi
if [ ! -f "$SMOL" ]; then skip "the default model" "it is not here (make model)"; finish; fi
story "the default model" "$SMOL" 10 --epochs 2 --batch 500 --lr 3e-4
printf '# it says now: %s\n' "$(head -c 200 "$T/said")"
finish
