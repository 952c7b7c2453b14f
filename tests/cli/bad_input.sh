#!/bin/sh
# Bad input ends in one clear line on stderr that names the file and the reason, and in the right exit code.
. "$(dirname "$0")/lib/tap.sh"

one_line() { # NAME CODE PATTERN COMMAND...
    what=$1 want=$2 pattern=$3
    shift 3
    err=$("$@" 2>&1 >/dev/null </dev/null)
    code=$?
    lines=$(printf '%s\n' "$err" | wc -l)
    if [ $code -eq "$want" ] && [ "$lines" -eq 1 ] && printf '%s' "$err" | grep -qE -- "$pattern"; then ok "$what"
    else not_ok "$what" "exit $code, want $want" "$lines lines: $err" "want /$pattern/"; fi
}

gguf() { # FILE ARCH TYPE: a well-formed file with one tensor
    python3 - "$@" <<'PY'
import struct, sys
path, arch, kind = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = lambda t: struct.pack('<Q', len(t)) + t.encode()
kv = s('general.architecture') + struct.pack('<I', 8) + s(arch)
kv += s('tokenizer.ggml.model') + struct.pack('<I', 8) + s('gpt2') + s('tokenizer.ggml.pre') + struct.pack('<I', 8) + s('qwen2')
kv += s('tokenizer.ggml.tokens') + struct.pack('<IIQ', 9, 8, 2) + s('a') + s('b') + s('tokenizer.ggml.merges') + struct.pack('<IIQ', 9, 8, 0)
kv += s('tokenizer.ggml.token_type') + struct.pack('<IIQ', 9, 5, 2) + struct.pack('<ii', 1, 1)
t = s('token_embd.weight') + struct.pack('<I', 2) + struct.pack('<QQ', 256, 2) + struct.pack('<IQ', kind, 0)
head = b'GGUF' + struct.pack('<IQQ', 3, 1, 6) + kv + t
head += b'\0' * (-len(head) % 32)
open(path, 'wb').write(head + b'\0' * 4096)
PY
}

one_line "a missing file" 3 'missing\.gguf' "$PONDER" ask -m "$T/missing.gguf" hello
one_line "an unknown model name" 3 'nosuch.*no such model' "$PONDER" ask -m nosuch hello
one_line "a catalogue model that was not fetched" 3 'ponder pull smollm2-135m' "$PONDER" ask -m smollm2-135m hello
printf 'not a model at all, just some text that is long enough to be read' >"$T/foreign.gguf"
one_line "a foreign file" 3 'foreign\.gguf' "$PONDER" ask -m "$T/foreign.gguf" hello
: >"$T/empty.gguf"
one_line "an empty file" 3 'empty\.gguf' "$PONDER" ask -m "$T/empty.gguf" hello
one_line "a folder" 3 'data' "$PONDER" ask -m "$T/data" hello
gguf "$T/arch.gguf" mamba 0
one_line "an unsupported architecture" 3 'arch\.gguf.*mamba' "$PONDER" ask -m "$T/arch.gguf" hello
gguf "$T/quant.gguf" llama 16
one_line "an unsupported quantisation" 3 'quant\.gguf' "$PONDER" ask -m "$T/quant.gguf" hello
if [ -f "$SMOL" ]; then
    for size in 3 100 5000 2000000 90000000; do
        head -c $size "$SMOL" >"$T/cut.gguf"
        one_line "a file cut at $size bytes" 3 'cut\.gguf' "$PONDER" ask -m "$T/cut.gguf" hello
    done
    rm -f "$T/cut.gguf"
    yes 'a long prompt ' | head -n 3000 >"$T/long.txt"
    one_line "a prompt longer than the context" 1 'tokens; the context of 2048' "$PONDER" ask -m "$SMOL" -c 2048 -f "$T/long.txt" hello
    printf 'a\377b' >"$T/latin"
    err=$("$PONDER" ask -m "$SMOL" 2>&1 >/dev/null <"$T/latin")
    is "invalid UTF-8 on stdin: exit code" $? 1
    like "invalid UTF-8 on stdin: one line" "$err" '^ponder: .*UTF-8$'
    one_line "a context that is no number" 2 '-c: "1x"' "$PONDER" ask -m "$SMOL" -c 1x hello
else
    skip "files cut short, long prompts, invalid UTF-8" "no model at hand"
fi
one_line "an unknown option" 2 '--nonsense' "$PONDER" ask --nonsense hello
one_line "an unknown command" 2 'no command "frobnicate"' "$PONDER" frobnicate
one_line "no question" 2 'no question' "$PONDER" ask
mkdir -p "$XDG_CONFIG_HOME/ponder"
echo 'temp = hot' >"$XDG_CONFIG_HOME/ponder/ponder.ini"
one_line "a bad setting names file and line" 3 'ponder\.ini:1.*temp' "$PONDER" ask hello
rm "$XDG_CONFIG_HOME/ponder/ponder.ini"
one_line "a bad variable names it" 2 'PONDER_TOP_K' env PONDER_TOP_K=x "$PONDER" ask hello

python3 - "$T/newer.db" <<'PY'
import sqlite3, sys
d = sqlite3.connect(sys.argv[1]); d.execute('PRAGMA user_version = 9999'); d.execute('CREATE TABLE t(x)'); d.execute("PRAGMA application_id = 0x706f6e64"); d.commit(); d.close()
PY
before=$(sha256sum <"$T/newer.db")
one_line "a database from a newer version" 3 'newer' "$PONDER" list --db "$T/newer.db"
is "and it is left as it was" "$(sha256sum <"$T/newer.db")" "$before"
cp "$T/foreign.gguf" "$T/foreign.db"
one_line "a file that is no database" 3 'foreign\.db' "$PONDER" list --db "$T/foreign.db"
if [ -f "$SMOL" ]; then
    one_line "an unwritable data folder" 3 'cannot-be.*--private' env XDG_DATA_HOME=/proc/ponder-cannot-be "$PONDER" ask -m "$SMOL" hello
    out=$(XDG_DATA_HOME=/proc/ponder-cannot-be "$PONDER" ask -m "$SMOL" --private --budget 8 --answer-max 8 hello 2>/dev/null </dev/null)
    is "which --private does not need" $? 0
fi
finish
