#!/bin/sh
# The release program is hardened: position independent, relocations read-only and bound at start, no executable stack, stack canaries, checked copies.
. "$(dirname "$0")/lib/tap.sh"
command -v readelf >/dev/null || { skip "hardening" "readelf is not here"; finish; }
like "position independent" "$(readelf -h "$PONDER")" 'Type: +DYN'
like "relocations are read-only" "$(readelf -lW "$PONDER")" 'GNU_RELRO'
like "and bound at the start" "$(readelf -dW "$PONDER")" 'BIND_NOW|FLAGS.*NOW'
unlike "no executable stack" "$(readelf -lW "$PONDER" | grep GNU_STACK)" 'RWE'
unlike "no segment is writable and executable" "$(readelf -lW "$PONDER" | grep LOAD)" 'RWE'
case $(readelf -sW "$PONDER") in *__asan_init*) skip "canaries and checked copies" "built with sanitizers" ;; *)
    like "stack canaries" "$(readelf -sW "$PONDER")" '__stack_chk_fail'
    like "checked copies" "$(readelf -sW "$PONDER")" '__[a-z]+_chk' ;;
esac
unlike "no search path of its own" "$(readelf -dW "$PONDER")" 'R(UN)?PATH'
finish
