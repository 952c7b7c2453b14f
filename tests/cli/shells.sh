#!/bin/bash
# What the program prints of itself: the manual page, completions for three shells; and that installing puts them in place.
. "$(dirname "$0")/lib/tap.sh"

page=$("$PONDER" man)
for word in $("$PONDER" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    printf '%s' "$page" | grep -q "^.fB$word.fR" || missing="$missing $word"
done
is "the manual page has every command" "$missing" ""
missing=
for flag in $("$PONDER" help chat | grep -oE -- '--[a-z][a-z-]+'); do
    printf '%s' "$page" | grep -qF -- "$(printf '%s' "$flag" | sed 's/-/\\-/g')" || missing="$missing $flag"
done
is "and every flag of chat" "$missing" ""
like "and the keys" "$page" 'Ctrl.-O'
like "and the slash commands" "$page" '/budget'
if command -v groff >/dev/null; then
    is "groff has nothing to say against it" "$("$PONDER" man | groff -man -Tutf8 -ww -z 2>&1)" ""
else
    skip "groff has nothing to say against it" "groff is not installed"
fi

# complete WORD...: what bash offers for the last of them
complete_in_bash() {
    bash --norc -c '. /dev/stdin; PATH="$(dirname "$PONDER"):$PATH"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ponder; echo "${COMPREPLY[@]}"' bash "$@" <"$T/bash"
}
export PONDER
"$PONDER" completions bash >"$T/bash"
is "bash: commands" "$(complete_in_bash ponder exp)" export
is "bash: flags of a command" "$(complete_in_bash ponder search --in)" --in
is "bash: the values of a flag" "$(complete_in_bash ponder search --in t)" thoughts
is "bash: flags of chat without its name" "$(complete_in_bash ponder --think-m)" --think-min
is "bash: those of the full-screen program" "$(complete_in_bash ponder chat --layout s)" side
is "bash: every export format" "$(complete_in_bash ponder export --format llamafactory | wc -w)" 3
like "bash: models by name" "$(complete_in_bash ponder ask -m smol)" 'smollm2-135m'
is "bash: the words of inspect" "$(complete_in_bash ponder inspect to)" tokenize
is "bash: the words of completions" "$(complete_in_bash ponder completions '')" "bash zsh fish"

if command -v zsh >/dev/null; then
    "$PONDER" completions zsh >"$T/_ponder"
    is "zsh reads its script" "$(zsh -n "$T/_ponder" 2>&1)" ""
    # its own machinery replaced by functions that print what would be offered
    offered=$(zsh -f -c 'compadd() { shift; print -- "$@" }; _files() { : }; _describe() { print -- ${(P)2} }; compdef() { : }; . $1
        shift; words=("$@"); CURRENT=$#; _ponder' zsh "$T/_ponder" ponder search --in '')
    is "zsh: the values of a flag" "$offered" "answers thoughts prompts"
    offered=$(zsh -f -c 'compadd() { shift; print -- "$@" }; _files() { : }; _describe() { print -- ${(P)2} }; compdef() { : }; . $1
        shift; words=("$@"); CURRENT=$#; _ponder' zsh "$T/_ponder" ponder '')
    like "zsh: commands with what they do" "$offered" 'export:write fine-tuning data'
else
    skip "zsh" "zsh is not installed"
fi
if command -v fish >/dev/null; then
    "$PONDER" completions fish >"$T/ponder.fish"
    offer() { fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$T/ponder.fish" "$1" 2>&1; }
    like "fish: commands with what they do" "$(offer 'ponder exp')" '^export.*write fine-tuning data'
    like "fish: the values of a flag" "$(offer 'ponder search --in th')" '^thoughts'
    like "fish: settings with their help" "$(offer 'ponder --think-m')" '^--think-min.*may not end'
    like "fish: choices of a setting" "$(offer 'ponder chat --layout s')" '^side'
else
    skip "fish" "fish is not installed"
fi
is "another shell is refused" "$("$PONDER" completions tcsh 2>&1)" 'ponder: completions: name a shell: bash, zsh or fish (see `ponder help completions`)'

if make -s install all= DESTDIR="$T/root" PREFIX=/usr deps= -o all >"$T/log" 2>&1; then
    is "installing puts the manual page in place" "$(head -c 4 "$T/root/usr/share/man/man1/ponder.1")" ".TH "
    is "and completions for three shells" "$(ls "$T"/root/usr/share/bash-completion/completions/ponder "$T"/root/usr/share/zsh/site-functions/_ponder \
        "$T"/root/usr/share/fish/vendor_completions.d/ponder.fish | wc -l)" 3
    is "the installed program finds its catalogue" "$(cd / && "$T/root/usr/bin/ponder" models | grep -c smollm2)" 1
    is "and the adapter comes along" "$(cd "$T/root/usr/share/ponder/models" && ls ./*.gguf 2>/dev/null)" "$(cd models && ls ./*.gguf 2>/dev/null)"
    make -s uninstall DESTDIR="$T/root" PREFIX=/usr >/dev/null 2>&1
    is "uninstalling takes everything away" "$(find "$T/root" -type f)" ""
else
    not_ok "make install works" "$(cat "$T/log")"
fi
finish
