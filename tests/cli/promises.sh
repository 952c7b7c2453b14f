#!/bin/sh
# README's table of promises links every test that the Makefile runs for a promise, and no other; each is there. So are the lines that `make mutate` breaks.
. "$(dirname "$0")/lib/tap.sh"
for number in 1 2 3 4 5 6 7 8 9 10; do
    row=$(sed -n "s/^| $number |//p" README.md)
    linked=$(printf '%s\n' "$row" | grep -o '](tests/[^)]*)' | sed 's/^](//; s/)$//; s|^tests/fuzz$|tests/fuzz/run|' | sort)
    run=$(env -u MAKEFLAGS -u MAKELEVEL make -s print-promises | sed -n "s/^$number //p" | sort)
    is "promise $number: the table links what is run" "$linked" "$run"
    for file in $linked; do [ -e "$file" ] || not_ok "promise $number: $file is there"; done
done
is "each promise has a line to break" "$(tests/mutate.sh -n | grep -c '^ok')" 10
finish
