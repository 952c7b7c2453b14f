#!/bin/sh
# ponder bench: the keys of its JSON, figures that fit each other and the machine, the bar on a terminal and nothing of it elsewhere, wrong arguments.
. "$(dirname "$0")/lib/tap.sh"
usage() { # NAME PATTERN ARGUMENT...
    name=$1 pattern=$2
    shift 2
    "$PONDER" bench "$@" >"$T/out" 2>"$T/err"
    is "$name: exit code" $? 2
    like "$name: says why, in a line" "$(cat "$T/err" "$T/out" | tr '\n' '~')" "^ponder: bench: $pattern.*ponder help bench.*~\$"
}
usage "no model" '-m MODEL is missing'
usage "no number" '--pp needs a number from 0 up' -m x --pp many
usage "a tail" '--tg needs' -m x --tg 12x
usage "an empty place in a list" '--depth needs' -m x --depth 0,,4
usage "an open list" '--depth needs' -m x --depth 0,
usage "a list too long" '--pp needs' -m x --pp 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
usage "below the least" '--repeat needs a number from 1 up' -m x --repeat 0
usage "a list where one is wanted" '--threads needs a number' -m x --threads 1,2
usage "no value" '-m needs a model' -m
usage "a word" 'unknown argument "now"' -m x now
"$PONDER" bench -m "$T/none.gguf" >/dev/null 2>&1
is "no such file: exit code" $? 3
like "help names the options" "$("$PONDER" bench --help)" '--depth D\[,D\].*--profile'
if [ ! -f "$SMOL" ]; then skip "bench's figures" "the default model is not here (make model)"; finish; fi

"$PONDER" bench -m "$SMOL" --threads 2 --pp 48 --tg 6 --depth 0,300 --repeat 1 --profile --json >"$T/rows" 2>"$T/err"
is "exit code" $? 0
is "stderr is no terminal: not a byte on it" "$(wc -c <"$T/err")" 0
like "the first keys have the form that others read" "$(head -n 1 "$T/rows")" \
    '^\{"pp_tps": [0-9]+\.[0-9]{2}, "tg_tps": [0-9]+\.[0-9]{2}, "load_s": [0-9]+\.[0-9]{3}, "first_token_s": [0-9]+\.[0-9]{3}, "rss_mb": [0-9]+, '
python3 - "$T/rows" "$SMOL" >"$T/tap" <<'P'
import json, os, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
size = os.path.getsize(sys.argv[2]) / 1e6
def check(name, good, *shown): print("ok" if good else "not ok", name, *shown)
check("a row for each depth", [(r["pp"], r["tg"], r["depth"]) for r in rows] == [(48, 6, 0), (48, 6, 300)])
keys = ["pp_tps", "tg_tps", "load_s", "first_token_s", "rss_mb", "pp", "tg", "depth", "threads", "kernels", "read_gbps", "token_mb", "roof_tps", "roof_pct",
        "peak_gops", "pp_gops", "peak_pct", "profile"]
check("the keys, in order", all(list(r) == keys for r in rows), list(rows[0]))
for r in rows:
    where = f"at depth {r['depth']}"
    check(f"{where}: all figures are above zero", all(r[k] > 0 for k in keys[:6] + keys[10:14] + ["pp_gops"]), r)
    check(f"{where}: memory reads at a rate that exists", 0.1 < r["read_gbps"] < 5000, r["read_gbps"])
    check(f"{where}: a token reads the weights once", 0.9 * size < r["token_mb"] - (r["depth"] + 3.5) * 0.02304 < size, r["token_mb"], size)
    check(f"{where}: rate, roof and share fit", abs(r["tg_tps"] * r["token_mb"] / 1e3 / r["read_gbps"] * 100 - r["roof_pct"]) < 1, r)
    check(f"{where}: roof in tokens fits", abs(r["roof_tps"] * r["token_mb"] / 1e3 - r["read_gbps"]) < 0.02 * r["read_gbps"], r)
    check(f"{where}: products of a prompt are those of the layers", abs(r["pp_gops"] * 1e9 / r["pp_tps"] / (2 * 106.2e6) - 1) < 0.02, r)
    if r["peak_gops"]: check(f"{where}: a peak is above what is reached", r["pp_gops"] < 1.5 * r["peak_gops"], r)
    p = r["profile"]
    check(f"{where}: stages of both passes", list(p) == ["prefill", "decode"] and all(list(p[k]) ==
          ["qkv", "attention", "attention_out", "gate_up", "down", "vocabulary", "between"] for k in p))
    check(f"{where}: stages take time and wait for less", all(v["ms"] > 0 and -1e-9 <= v["waiting_ms"] <= v["ms"] + 0.5 for k in p for v in p[k].values()), p)
P
while read -r verdict rest; do
    case $verdict in not) not_ok "${rest#ok }" ;; ok) ok "$rest" ;; *) not_ok "figures" "$verdict $rest" ;; esac
done <"$T/tap"
is "all figures were looked at" "$(wc -l <"$T/tap" | tr -d ' ')" "$(grep -c '^\(not \)\{0,1\}ok' "$T/tap" | tr -d ' ')"
like "and there were some" "$(wc -l <"$T/tap")" '[1-9][0-9]'

"$PONDER" bench -m "$SMOL" --threads 1 --pp 16 --tg 3 --repeat 1 --profile >"$T/out" 2>"$T/err"
is "the table: nothing on stderr" "$(wc -c <"$T/err")" 0
like "the table: a model and its kernels" "$(cat "$T/out")" '135 M parameters, 1 thread, (scalar|avx2|avx512|amx) kernels'
like "the table: decode beside its roof" "$(cat "$T/out")" 'decode 3 +[0-9.]+ tok/s +[0-9.]+ GB/s +[0-9]+ % of the roof: [0-9.]+ MB a token'
like "the table: memory's rate" "$(cat "$T/out")" 'roof, memory +[0-9.]+ GB/s'
like "the table: where the time goes" "$(cat "$T/out")" 'gate and up +[0-9.]+ +[0-9]+ %'
unlike "no escape bytes" "$(cat "$T/out")" "$(printf '\033')"
is "prefill alone" "$("$PONDER" bench -m "$SMOL" --threads 2 --pp 16 --tg 0 --repeat 1 --json | python3 -c '
import json, sys; r = json.load(sys.stdin); print(r["tg_tps"], r["token_mb"], r["pp_gops"] > 0)')" "0.0 0.0 True"

python3 - "$PONDER" "$SMOL" >"$T/bar" 2>&1 <<'P'
import os, pty, subprocess, sys
master, slave = pty.openpty()
run = subprocess.Popen([sys.argv[1], "bench", "-m", sys.argv[2], "--threads", "2", "--pp", "256", "--tg", "8", "--repeat", "1", "--json"], stderr=slave, stdout=subprocess.PIPE)
os.close(slave)
seen = b""
while True:
    try: part = os.read(master, 4096)
    except OSError: break
    if not part: break
    seen += part
out = run.communicate()[0]
print("shown", b"prefill 256, 1 of 1" in seen and b"[" in seen and b"%" in seen)
print("cleared", seen.endswith(b"\r\x1b[K"))
print("clean", out.startswith(b"{") and out.count(b"\n") == 1)
P
is "on a terminal: a bar, gone at the end, and JSON beside it" "$(tr '\n' ' ' <"$T/bar")" "shown True cleared True clean True "
finish
