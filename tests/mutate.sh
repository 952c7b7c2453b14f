#!/bin/sh
# Mutation check: breaks each of the ten guards by one line, in a copy of the tree, and shows that the guard's test fails. Prints TAP. Every mutant is a build: some minutes in all.
# usage: tests/mutate.sh [-n] [NUMBER...]        -n: only whether the lines to break are there, in a moment
cd "$(dirname "$0")/.." || exit 1
root=$PWD n=0 bad=0
only_lines=
[ "$1" = -n ] && only_lines=1 && shift
if [ -z "$only_lines" ]; then
    copy=$(mktemp -d) || exit 1
    trap 'rm -rf "$copy"' EXIT
    git ls-files -co --exclude-standard | tar -cf - -T - 2>/dev/null | tar -xf - -C "$copy"
    cp -a "${BUILD:-build}" "$copy/build" 2>/dev/null
    rm -rf "$copy/build/asan" "$copy/build/fuzz"
    find "$copy/build" -name '*.d' -exec sed -i "s|$root|$copy|g" {} + 2>/dev/null
fi

# NUMBER FILE SED-EXPRESSION TEST: the file has to change, the test to fail on the mutant and to pass on the tree as it is
mutant() {
    case " $wanted " in *" $1 "* | "  ") ;; *) return ;; esac
    n=$((n + 1))
    if sed -E "$3" "$2" | cmp -s - "$2"; then
        bad=1
        echo "not ok $n - promise $1: the line to break is not in $2 any more"
    elif [ "$only_lines" ]; then
        echo "ok $n - promise $1: $2 can be broken"
    else
        cp "$copy/$2" "$copy/kept"
        sed -i -E "$3" "$copy/$2"
        case $4 in tests/unit/*) target=build/tests/$(basename "$4" .c) program=$copy/$target ;; *) target=build program=$copy/$4 ;; esac
        if ! (cd "$copy" && make -s "$target" >"$copy/log" 2>&1); then
            bad=1
            echo "not ok $n - promise $1: the mutant does not build"
            tail -n 5 "$copy/log" | sed 's/^/# /'
        elif (cd "$copy" && PONDER="$copy/build/ponder" CMOCKA_MESSAGE_OUTPUT=TAP timeout 600 "$program" >"$copy/log" 2>&1); then
            bad=1
            echo "not ok $n - promise $1: $4 passes although $2 is broken"
        else
            echo "ok $n - promise $1: broken in $2, caught by $4: $(grep -m 1 '^not ok' "$copy/log" | sed 's/^not ok [0-9]* - //')"
        fi
        cp "$copy/kept" "$copy/$2"
        touch "$copy/$2"
    fi
}
wanted="$*"
mutant 1 src/cli/chat_cmd.c 's/^( *)cli_sandbox\(&set, store\);/\1;/' tests/fault/offline.py
mutant 2 src/chat/recorder.c 's/^#define FLUSH_MS +150/#define FLUSH_MS 60000/' tests/fault/kill.py
mutant 3 src/cli/common.c 's/text_sanitize\(&line, text, strlen\(text\), TEXT_ONE_LINE\)/str_add(\&line, text)/' tests/fault/escapes.py
mutant 4 src/model/gguf_tensors.c 's/^    if \(t->bytes > room - offset\)/    if (0)/' tests/unit/model_hostile.c
mutant 5 src/cli/common.c 's/^ *setrlimit\(RLIMIT_CORE.*/;/' tests/fault/private.py
mutant 6 src/ui/term_signals.c 's/^( *)tcsetattr\(fd, TCSANOW, &restore_modes.*/\1;/' tests/fault/ending.py
mutant 7 src/ui/term.c 's/^    int rc = term_info_check\(NULL, e\);/    int rc = 0;/' tests/fault/terminals.py
mutant 8 src/chat/chat.c 's/^( *)if \(m->id > 0 \&\& !m->unended\) continue;/\1continue;/' tests/fault/disk.py
mutant 9 src/chat/turn.c 's/^( *)\.seed = seed,/\1.seed = turn_draw_seed(-1),/' tests/fault/same.py
mutant 10 src/store/salvage.c 's/^    if \(known && !c.rc\) copy_rows\(&c\);/    ;/' tests/fault/versions.py
echo "1..$n"
exit $bad
