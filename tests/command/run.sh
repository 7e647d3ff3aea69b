#!/usr/bin/env bash
# run.sh CASE: what the hiermoe command does as users call it. CMake sets
#   BUILD     the build folder
#   SANITIZE  the sanitizers that it was built with
# Exit: 0 passed, 1 failed, 77 does not apply here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset "${!HIERMOE_@}" LD_PRELOAD
export HOME=$work ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
hiermoe=$BUILD/bin/hiermoe

fail() { echo "FAILED: $*"; exit 1; }

# ends STATUS COMMAND...: it ends with that status; $work/out and $work/err hold what it said.
ends() {
    local status=$1 got=0
    shift
    timeout 900 "$@" >"$work/out" 2>"$work/err" || got=$?
    [ $got = "$status" ] || fail "exit $got of $*, expected $status: $(cat "$work/out" "$work/err")"
}
said() { grep -qF -- "$1" "$work/err" || fail "standard error does not hold '$1': $(cat "$work/err")"; }
printed() { grep -qF -- "$1" "$work/out" || fail "standard output does not hold '$1': $(cat "$work/out")"; }

for file in "$here"/cases_*.sh; do
    # shellcheck disable=SC1090
    . "$file"
done
declare -F "case_$1" >/dev/null || fail "there is no case $1"
"case_$1"
