# Sourced by the script tests: an empty home of its own, TAP output. PONDER names the program under test.
: "${PONDER:=$PWD/build/ponder}"
model_home=${XDG_DATA_HOME:-$HOME/.local/share}/ponder/models
SMOL=${PONDER_TEST_MODEL:-$model_home/SmolLM2-135M-Instruct.Q4_1.gguf}
BIG=${PONDER_TEST_MODEL_BIG:-$model_home/Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf}
unset NO_COLOR $(env | sed -n 's/^\(PONDER_[A-Z_]*\)=.*/\1/p' | grep -vE '^PONDER_(TEST_MODEL|TEST_MODEL_BIG|QUICK|LONG)$')
# the default model as it is, whatever adapter comes with it
export PONDER_LORA=none
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
export HOME="$T/home" XDG_DATA_HOME="$T/data" XDG_CONFIG_HOME="$T/config" XDG_STATE_HOME="$T/state" XDG_CACHE_HOME="$T/cache"
mkdir -p "$HOME" "$XDG_DATA_HOME"
export LC_ALL=C.UTF-8
n=0 bad=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() { n=$((n + 1)); bad=1; echo "not ok $n - $1"; shift; for l in "$@"; do printf '%s\n' "$l" | sed 's/^/# /'; done; }
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got:  $2" "want: $3"; fi; }
like() { if printf '%s' "$2" | grep -qE -- "$3"; then ok "$1"; else not_ok "$1" "got: $2" "want: /$3/"; fi; }
unlike() { if printf '%s' "$2" | grep -qE -- "$3"; then not_ok "$1" "got: $2" "want it without: /$3/"; else ok "$1"; fi; }
finish() { echo "1..$n"; exit $bad; }
