#!/bin/sh
# ponder tasks: lines that train and sweep can read, the same for the same seed, distinct, in halves that do not meet; verify; usage.
. "$(dirname "$0")/lib/tap.sh"
tasks() { "$PONDER" tasks "$@"; }
field() { python3 -c 'import sys,json
for l in sys.stdin:
    o=json.loads(l)
    print(eval(sys.argv[1]))' "$1"; }
like "list" "$(tasks list)" '^sum  *sums and differences'
is "families" "$(($(tasks list | wc -l) >= 16))" 1
tasks --count 200 --seed 4 >"$T/a.jsonl"
tasks --count 200 --seed 4 -o "$T/b.jsonl"
is "lines" "$(wc -l <"$T/a.jsonl")" 200
is "the same seed gives the same" "$(cmp "$T/a.jsonl" "$T/b.jsonl" && echo same)" same
tasks --count 200 --seed 5 -o "$T/c.jsonl"
is "another seed another" "$(cmp -s "$T/c.jsonl" "$T/a.jsonl" || echo other)" other
is "questions and thoughts" "$(field 'len(o["messages"])==2 and o["messages"][1]["reasoning_content"].rstrip(".").endswith(o["answer"])' <"$T/a.jsonl" | sort | uniq -c | tr -s ' ')" " 200 True"
is "all families" "$(field 'o["family"]' <"$T/a.jsonl" | sort -u | wc -l)" "$(tasks list | wc -l)"
is "no question twice" "$(tasks --family coin,sum --level 1..2 --count 600 | field 'o["messages"][0]["content"]' | sort | uniq -d | wc -l)" 0
is "a family and a level" "$(tasks --family gcd --level 4 --count 5 | field 'o["family"]+str(o["level"])' | sort -u)" gcd4
like "a family with few questions" "$(tasks --family direct --count 1000 2>&1 >/dev/null)" "only [0-9]* different"
tasks --family sum,coin --level 1..3 --count 900 --seed 9 | field 'o["messages"][0]["content"]' | sort >"$T/training"
tasks --family sum,coin --level 1..3 --count 90 --seed 9 --format questions | field 'o["question"]' | sort >"$T/held"
is "no held-out question in training" "$(comm -12 "$T/training" "$T/held" | wc -l)" 0
is "questions are held-out ones" "$(wc -l <"$T/held")" 90
is "fast ones have an empty thought" "$(tasks --count 40 --fast 100 | field '"reasoning_content" not in o["messages"][1] and o["messages"][1]["content"].startswith("<think>\n\n</think>\n\n")' | sort -u)" True
is "cut ones end in the program's words" "$(tasks --count 40 --cut 100 | field 'o["messages"][1]["reasoning_content"].endswith("give the final answer now.") or ("Wait, " in o["messages"][1]["reasoning_content"])' | sort -u)" True
# a slip lies in its thought, whatever became of that
is "slips" "$(tasks --count 3000 --cut 40 --fast 20 | field '(lambda m, s: "none" if not s else "lost" if "reasoning_content" not in m else "words" if m["reasoning_content"][s[0]:s[0]+s[1]].startswith("\n\nTime is up") else "value" if s[0] + s[1] <= len(m["reasoning_content"]) else "out")(o["messages"][1], o["slip"])' | sort -u | tr '\n' ' ')" "none value words "
is "words that are spelled say so" "$(tasks --family backward,letters --count 20 | field 'o["family"] + str(o.get("spelled") == o["answer"])' | sort -u | tr '\n' ' ')" "backwardTrue lettersFalse "
is "some are fast" "$(($(tasks --count 400 --fast 25 | grep -c '<think>') / 20))" 5
printf '{"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"mixed %s"}]}\n' 1 2 3 >"$T/mix.jsonl"
tasks --count 30 --mix "$T/mix.jsonl" >"$T/mixed.jsonl"
is "what is mixed in" "$(grep -n mixed "$T/mixed.jsonl" | cut -d: -f1 | tr '\n' ' ')" "11 22 33 "
printf '{"messages":1}\n' >"$T/bad.jsonl"
out=$(tasks --mix "$T/bad.jsonl" 2>&1); is "a bad file to mix in" "$? $out" "3 ponder: $T/bad.jsonl:1: has no \"messages\""
out=$(printf '%s\n' '{"answer":"Paris","reply":"The answer is Paris."}' '{"answer":12,"reply":"13"}' '{"answer":"3/4","check":"fraction","reply":"6/8"}' | tasks verify 2>"$T/err")
is "verify" "$(printf '%s\n' "$out" | field 'o["right"]' | tr '\n' ' ')" "True False False "
is "verify counts" "$(cat "$T/err")" "1 of 3 right"
out=$(printf '{"answer":1}\n' | tasks verify 2>&1); is "verify: no reply" "$? $out" '3 ponder: standard input:1: has no "reply"'
out=$(printf '{"answer":"1","reply":"1","check":"none"}\n' | tasks verify 2>&1); is "verify: no such check" "$?" 3
usage() { name=$1; shift; out=$(tasks "$@" 2>&1 </dev/null); rc=$?; is "$name" "$rc $(printf '%s\n' "$out" | wc -l)" "2 1"; }
usage "no such family" --family nothing
usage "no such level" --level 6
usage "levels the wrong way" --level 3..1
usage "no such format" --format html
usage "no such half" --half first
usage "a count that is none" --count 0
usage "an option without a value" --count
usage "more than all" --fast 60 --cut 60
usage "fast questions" --format questions --fast 10
usage "an unknown option" --nothing 1
finish
