#!/bin/sh
# The arrows of the design point one way: cli, ui -> chat -> model, store -> base. Curses and readline stay in src/ui, SQL in src/store, and neither base, tasks, model nor store prints or exits.
n=0 rc=0
check() { # NAME OUTPUT: fails when there is output
    n=$((n + 1))
    if [ -z "$2" ]; then echo "ok $n - $1"; else rc=1; echo "not ok $n - $1"; printf '%s\n' "$2" | sed 's/^/# /'; fi
}
includes() { grep -nE "#[[:space:]]*include[[:space:]]*[<\"]($1)" -r $2 2>/dev/null; }
check "base includes nothing above it" "$(includes '(tasks|model|store|chat|ui|cli)/' src/base)"
check "tasks includes base only" "$(includes '(model|store|chat|ui|cli)/' src/tasks)"
check "model includes base only" "$(includes '(tasks|store|chat|ui|cli)/' src/model)"
check "store includes base only" "$(includes '(tasks|model|chat|ui|cli)/' src/store)"
check "chat includes model, store and base only" "$(includes '(ui|cli)/' src/chat)"
check "ui does not include cli" "$(includes 'cli/' src/ui)"
check "one public header a folder: others include no internal ones" "$(grep -nE '#include "(tasks|model|store|chat|ui)/' -r src | awk -F: '{split($1,a,"/"); match($0,/"[a-z]+\//); f=substr($0,RSTART+1,RLENGTH-2); if (a[2]!=f && $0 !~ "\"" f "/" f ".h\"") print}')"
check "curses and readline only in src/ui" "$(includes '(n?curses|readline/)' 'src/base src/tasks src/model src/store src/chat src/cli')"
check "SQLite only in src/store" "$(includes 'sqlite3' 'src/base src/tasks src/model src/chat src/ui src/cli')"
check "base, tasks, model and store do not print, exit or abort" "$(grep -nE '(^|[^a-z_>.])(printf|puts|putchar|perror|exit|_exit|abort|assert) *\(' -r src/base src/tasks src/model src/store | grep -vE '^[^:]*:[0-9]+: *(/?\*|//)' | grep -vE 'static_assert|child == 0\) _exit')"
echo "1..$n"
exit $rc
