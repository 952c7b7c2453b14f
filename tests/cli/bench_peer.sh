#!/bin/sh
# The table beside llama.cpp, on made-up programs: medians, the best variant of each figure, ratios, goals missed, and what it does when a program fails.
. "$(dirname "$0")/lib/tap.sh"
export PYTHONDONTWRITEBYTECODE=1
table() { python3 tests/bench/peer.py "$T/ponder" "$T/peer" "$T/SmolLM2-135M-Instruct.Q4_1.gguf" --pairs 3 --only speed,depth 2>"$T/err"; }
program() { # FILE COMMANDS: prints what they say
    mkdir -p "$(dirname "$1")"
    printf '#!/bin/sh\n%s\n' "$2" >"$1"
    chmod +x "$1"
}
# its third run is ten times slower: a mean would show that
program "$T/ponder" 'case "$*" in *"--depth 4096"*) deep=10 d=4096 ;; *) deep=1 d=0 ;; esac
echo run >>"$0.runs"
slow=1; [ $(($(wc -l <"$0.runs") % 3)) = 0 ] && slow=10
echo "{\"pp_tps\": $((4000 / slow)).0, \"tg_tps\": $((300 / deep / slow)).0, \"load_s\": 0.02, \"first_token_s\": 0.01, \"rss_mb\": 80, \"tg\": 64, \"depth\": $d, \"kernels\": \"amx\", \"roof_tps\": 333.0, \"read_gbps\": 20.0}"'
peer='case "$*" in *"--fa on"*) pp=400 tg=50 load=0.20 rss=100 ;; *) pp=200 tg=100 load=0.10 rss=160 ;; esac
case "$*" in *"--depth 4096"*) tg=20 ;; esac
echo "{\"pp_tps\": $pp.0, \"tg_tps\": $tg.0, \"load_s\": $load, \"first_token_s\": 0.1, \"rss_mb\": $rss}"'
program "$T/peer/gcc/bin/python" "$peer"
out=$(table)
is "a goal is missed: exit code" $? 1
like "prefill: the median, and the variant with flash attention counts" "$out" '^\| prefill, 512 tokens \| 4,000\.0 tok/s \| 200\.0 \| 400\.0 \| 10\.00× \| ≥ 8 \|$'
like "decode: the other variant counts" "$out" '^\| decode, empty context \(memory allows 333\) \| 300\.0 tok/s \| 100\.0 \| 50\.0 \| 3\.00× \| ≥ 2\.2 \|$'
like "start: times faster" "$out" '^\| start to ready \| 0\.020 s \| 0\.100 \| 0\.200 \| 5\.00× \| ≥ 3 \|$'
like "memory: a part of the least" "$out" '^\| peak memory at 512 tokens \| 80 MB \| 160 \| 100 \| 0\.80 \| ≤ 0\.85 \|$'
like "at depth: falls short" "$out" '^\| decode at depth 4096 \(memory allows 333\) \| 30\.0 tok/s \| 20\.0 \| 20\.0 \| 1\.50× \| ≥ 2\.5: missed \|$'
like "the machine and the date" "$out" "processors, Linux .*$(date +%Y).*medians of 3 interleaved runs"
is "runs are interleaved" "$(sed -n 's/^  [0-9]\/3 \([^:]*\):.*/\1/p' "$T/err" | head -n 4 | tr '\n' ';')" "ponder;gcc;gcc, fa;ponder;"
sed -i 's/deep=10/deep=5/' "$T/ponder"
table >/dev/null
is "no goal is missed: exit code" $? 0
program "$T/peer/gcc/bin/python" 'echo boom >&2; exit 139'
table >/dev/null
is "a program that dies ends it" $? 1
like "and is named" "$(tail -n 1 "$T/err")" '^gcc: exit 139: boom$'
rm -r "$T/peer"
table >/dev/null
like "no peer at all" "$(tail -n 1 "$T/err")" 'nothing is installed'
finish
