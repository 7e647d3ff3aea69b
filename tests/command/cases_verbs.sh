# shellcheck shell=bash disable=SC2154
# Verbs, and how the command says what there is.

case_verbs() {
    local place="$work/a place" name
    mkdir -p "$place/bin" "$place/libexec/hiermoe" && cp "$hiermoe" "$place/bin/" || fail cp
    printf '#!/bin/sh\necho "$#: $*"\nexit 7\n' >"$place/libexec/hiermoe/hiermoe-greet" || fail greet
    ends 2 "$place/bin/hiermoe" greet one
    said "/libexec/hiermoe/hiermoe-greet: Permission denied"
    chmod +x "$place/libexec/hiermoe/hiermoe-greet"
    ends 7 "$place/bin/hiermoe" greet "one two" three
    printed "2: one two three"
    ends 7 "$place/bin/hiermoe" help greet
    printed "1: --help"
    ends 0 "$place/bin/hiermoe" --help
    printed "  greet"
    for name in nothing ../hiermoe/hiermoe-greet GREET --greet ""; do
        ends 2 "$place/bin/hiermoe" "$name"
        said "\"$name\": expected a command; hiermoe help lists them"
    done
    for name in run info plan profile fit settings counters; do
        ends 0 "$hiermoe" $name --help
        cp "$work/out" "$work/long"
        ends 0 "$hiermoe" $name -h
        cmp "$work/out" "$work/long" || fail "$name -h is not $name --help"
        ends 0 "$hiermoe" help $name
        cmp "$work/out" "$work/long" || fail "help $name is not $name --help"
    done
    ends 0 "$hiermoe" plan --what-helps -h
    printed "usage: hiermoe plan --what-helps"
    ends 0 "$hiermoe" plan --version
    printed "hiermoe 0."
    ends 0 "$hiermoe" run --no-check --quiet --library "$(any_library)" -- printf '%s\n' -h
    [ "$(cat "$work/out")" = -h ] || fail "the job's -h: $(cat "$work/out")"
    ends 0 "$hiermoe" --version
    grep -qE '^hiermoe [0-9]+\.[0-9]+' "$work/out" || fail "--version: $(cat "$work/out")"
}
