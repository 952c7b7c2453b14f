#!/bin/sh
# Nothing is evaluated twice, over processes: what `ask` leaves on disk, what the next one makes of it, and when it goes.
. "$(dirname "$0")/lib/tap.sh"
if [ ! -f "$SMOL" ]; then skip "K/V on disk" "the default model is not here (make model)"; finish; fi
kv="$XDG_CACHE_HOME/ponder/kv"
ask() { "$PONDER" ask -m "$SMOL" --seed 7 --budget 12 --answer-max 12 "$@" </dev/null 2>"$T/err"; }
files() { find "$kv" -type f 2>/dev/null | wc -l; }
# prompt_tokens - prompt_evaluated, prompt_evaluated
counts() { tail -n 1 | python3 -c 'import json,sys; e=json.loads(sys.stdin.read()); print(e["prompt_tokens"] - e["prompt_evaluated"], e["prompt_evaluated"])'; }
seq -s ' ' 1 120 >"$T/long.txt"

set -- $(ask --json -f "$T/long.txt" "Which numbers are these?" | counts)
is "a first prompt is evaluated" "$1" 0
first=$2
is "what it made is on disk" "$([ "$(files)" -gt 1 ] && echo yes)" yes
is "files are 0600 in 0700 folders" "$(find "$kv" -type f ! -perm 600; find "$kv" -type d ! -perm 700)" ""
set -- $(ask --json --continue "And now?" | counts)
is "--continue evaluates its own message alone" "$([ "$1" -gt "$first" ] && [ "$2" -lt 24 ] && echo yes)" yes
newest=$("$PONDER" list --json --limit 1 | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["id"])')

cp -r "$XDG_DATA_HOME" "$T/data2"; cp -r "$XDG_CACHE_HOME" "$T/cache2"
with=$(XDG_DATA_HOME=$T/data2 XDG_CACHE_HOME=$T/cache2 ask --continue "Count them."; cat "$T/err")
rm -rf "$T/data2" "$T/cache2"; cp -r "$XDG_DATA_HOME" "$T/data2"
without=$(XDG_DATA_HOME=$T/data2 XDG_CACHE_HOME=$T/cache2 ask --continue "Count them."; cat "$T/err")
is "read back or evaluated anew: the same thought and answer" "$with" "$without"
set -- $(XDG_DATA_HOME=$T/data2 XDG_CACHE_HOME=$T/cache2 PONDER_KERNELS=avx2 ask --json --continue "Go on." | counts)
if [ -n "$1" ]; then is "other kernels, other bits: nothing is taken" "$1" 0; else skip "other kernels" "no AVX2 here"; fi

for f in "$kv"/*/*/00000-*; do printf 'x' | dd of="$f" bs=1 seek=5000 conv=notrunc 2>/dev/null; done
set -- $(ask --json --continue "Next." | counts)
is "a damaged file is evaluated again" "$1" 0
is "without a word" "$(cat "$T/err")" ""
set -- $(ask --json --continue "Next." | counts)
is "and written anew" "$([ "$1" -gt "$first" ] && echo yes)" yes

ask --json --private -f "$T/long.txt" "Which?" >/dev/null
ask --json --kv-disk 0 -f "$T/long.txt" "Which?" >/dev/null
is "--private and --kv-disk 0 leave none" "$(ls "$kv"/* | wc -l)" 1
ask --budget 8 --answer-max 8 "zebra crossing" >/dev/null
is "another conversation has its own" "$(ls "$kv"/* | wc -l)" 2
"$PONDER" delete "$newest" >/dev/null
is "delete takes the files along" "$(ls -d "$kv"/*/"$newest" 2>/dev/null; ls "$kv"/* | wc -l)" 1
"$PONDER" redact --dry-run zebra >/dev/null
is "a redaction that only looks leaves them" "$([ "$(files)" -gt 0 ] && echo yes)" yes
"$PONDER" redact zebra >/dev/null
is "redact takes all files along" "$(files)" 0
finish
