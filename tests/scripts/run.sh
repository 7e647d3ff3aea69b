#!/usr/bin/env bash
# run.sh CASE: what the project's scripts and commands say and refuse before they begin. CMake sets
#   BUILD     the build folder
#   LIBDIR    where in a prefix the library is installed
#   SANITIZE  the sanitizers that it was built with
# Exit: 0 passed, 1 failed.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset "${!HIERMOE_@}"

fail() { echo "FAILED: $*"; exit 1; }

# ends STATUS TEXT COMMAND...: it ends at once, with that status, and says that text and nothing of Python.
ends() {
    local status=$1 text=$2 got=0
    shift 2
    timeout 900 "$@" >"$work/said" 2>&1 || got=$?
    [ $got = "$status" ] || fail "exit $got of $*, expected $status: $(cat "$work/said")"
    grep -qF -- "$text" "$work/said" || fail "$* does not say '$text': $(cat "$work/said")"
    ! grep -q Traceback "$work/said" || fail "$*: $(cat "$work/said")"
}

# A build folder whose only libnccl.so.2 is the recorder that moves nothing.
build_of_a_recorder() {
    mkdir -p "$work/build/bin" "$work/build/lib" "$work/build/tests/preload"
    touch "$work"/build/{bin/moe_perf,bin/hiermoe,lib/libhiermoe.so,tests/preload/libnccl.so.2}
}

case_recorder_is_no_nccl() {
    build_of_a_recorder
    ends 2 "$work/build/tests/hostnccl/libnccl.so.2" \
        "$root/integration/demo" --no-build --build-dir "$work/build" --prefix hmscripts
    ends 2 "$work/build/tests/hostnccl/libnccl.so.2" python3 "$root/tests/cluster/plan_check.py" --build "$work/build"
}

# A layout that does not exist once made "0 shapes" of success.
case_plan_check_refuses() {
    local check=$root/tests/cluster/plan_check.py
    ends 0 BUILD/tests/hostnccl "$check" --help
    ends 2 "expected some of 4x2, 2x4," "$check" --build "$BUILD" --only 3x2,nonsense
    ends 2 "expected some of 1x2, 2x2," "$check" --build "$BUILD" --only 3x2 --gpu
    ends 2 "/nope/bin/moe_perf: was it built?" "$check" --build /nope
    ends 2 "--json: /nope/x: No such file" "$check" --build "$BUILD" --json /nope/x
}

# A 0 once meant the default, and what cannot be written was noticed after all rounds.
case_demo_refuses() {
    local demo=("$root/integration/demo" --no-build --build-dir "$BUILD" --prefix hmscripts) name
    for name in nodes ranks-per-node tokens hidden experts topk iterations rounds; do
        ends 2 "--$name: expected at least 1" "${demo[@]}" --routing uniform --$name 0
    done
    ends 2 "--json: /nope/x: No such file" "${demo[@]}" --json /nope/x
    # Before anything is installed or built.
    demo=("$root/integration/demo" --build-dir "$work/build" --prefix hmscripts)
    ends 2 "--rate: expected a number from 1 and kbit, mbit or gbit, such as 500mbit, got '1gb'" "${demo[@]}" --rate 1gb
    ends 2 "--routing: expected uniform, zipf:S, group:N:G, one:RANK or trace:FILE, got 'even'" "${demo[@]}" --routing even
    ends 2 "--routing: /nope/t: No such file" "${demo[@]}" --routing trace:/nope/t
    ends 2 "run.sh is not a routing trace: expected it to begin with" "${demo[@]}" --routing "trace:$0"
    head -c 1000 "$root/tests/traces/moe_lm.hmtrace" >"$work/short"
    ends 2 "its first line does not fit its length" "${demo[@]}" --routing "trace:$work/short"
    ends 2 "a trace brings experts and top-k" "${demo[@]}" --topk 2
    ends 2 "--experts: expected a multiple of the 8 ranks, got 9" "${demo[@]}" --routing uniform --experts 9
    ends 2 "--topk: expected at most the 8 experts, got 9" "${demo[@]}" --routing uniform --experts 8 --topk 9
    ends 2 "--nodes: expected at most 250, got 251" "${demo[@]}" --nodes 251
    ends 2 "--ranks-per-node: expected at most 1024 ranks in all, got 1028" "${demo[@]}" --ranks-per-node 257
    ends 2 "--prefix: expected up to 32 letters" "${demo[@]}" --prefix a/b
    ends 2 "GB of memory, and " "${demo[@]}" --tokens 100000000
    [ ! -e "$work/build" ] || fail "something was built"
}

# A trace that is dealt over its own shape is the same; over others, all its tokens are used equally often.
case_demo_deals_traces() {
    python3 - "$root" <<'END' || fail "dealing"
import collections, sys
sys.path.insert(0, sys.argv[1] + "/integration")
from demo_parts.deal import Trace
data = open(sys.argv[1] + "/tests/traces/moe_lm.hmtrace", "rb").read()
trace = Trace(data)
assert trace.dealt(trace.ranks, trace.tokens) == data
for ranks, tokens in ((3, 1000), (16, 1024), (5, 7), (64, 512)):
    dealt = Trace(trace.dealt(ranks, tokens))
    assert (dealt.ranks, dealt.tokens, dealt.layers, dealt.topk) == (ranks, tokens, trace.layers, trace.topk)
    assert dealt.experts % ranks == 0 and 0 <= dealt.experts - trace.experts < ranks
small = Trace(b"HMTRACE1 ranks=2 layers=1 tokens=3 topk=1 experts=6\n" + bytes(b for i in range(6) for b in (i, 0)))
for ranks, tokens in ((6, 2), (4, 3), (2, 9)):
    used = collections.Counter(small.dealt(ranks, tokens).partition(b"\n")[2][::2])
    assert set(used.values()) == {ranks * tokens // 6}, (ranks, tokens, used)
END
}

case_netns_refuses_rates() {
    local rate
    for rate in 0gbit 010mbit 1.5gbit -1gbit 1gb gbit 1Gbit; do
        ends 1 "--rate: expected a number from 1 and kbit, mbit or gbit, such as 500mbit, got '$rate'" \
            "$root/tests/cluster/netns.sh" up --prefix hmscripts --rate "$rate"
    done
}

# Tests are named after their folder, which is their label too, and none has a time of its own: see tests/README.md.
case_names() {
    ctest --test-dir "$BUILD" --show-only=json-v1 >"$work/tests" || fail "ctest --show-only"
    python3 - "$work/tests" "$root" <<'END' || fail "tests with other names than tests/README.md has them"
import json, os, re, sys
faults, tests = [], json.load(open(sys.argv[1]))["tests"]
for test in tests:
    name, properties = test["name"], {item["name"]: item["value"] for item in test.get("properties", [])}
    room = name.partition(".")[0]
    folders = [f"{sys.argv[2]}/{parent}/{room}" for parent in ("tests", "integration")]
    if not re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", name) or not any(map(os.path.isdir, folders)):
        faults.append(f"{name}: expected the name of a folder, a dot, and lower-case words joined by _")
    if sorted(set(properties.get("LABELS", [])) - {"slow"}) != [room]:
        faults.append(f"{name}: expected the label {room}, and perhaps slow, got {properties.get('LABELS')}")
    if "TIMEOUT" in properties and float(properties["TIMEOUT"]) < 1500 or properties.get("RUN_SERIAL"):
        faults.append(f"{name}: no TIMEOUT below 1500 and no RUN_SERIAL, since tests must hold on any machine")
print("\n".join(faults) or f"{len(tests)} tests")
sys.exit(bool(faults) or len(tests) < 100)
END
}

# Ranks whose libraries differ in any source must not meet, wherever that source lies.
fingerprint() { # FOLDER
    cmake -DROOT="$1" -DOUT="$work/fingerprint.h" -P "$1/shim/fingerprint.cmake" || fail "fingerprint.cmake"
    sed -n 's/^#define HM_FINGERPRINT 0x\([0-9a-f]\{8\}\)u$/\1/p' "$work/fingerprint.h"
}

case_fingerprint() {
    local tree=$work/tree first folder kind now
    mkdir "$tree" && cp -r "$root"/{shim,planner,kernels} "$tree" || fail cp
    first=$(fingerprint "$tree")
    [ -n "$first" ] || fail "no number: $(cat "$work/fingerprint.h")"
    [ "$(fingerprint "$root")" = "$first" ] || fail "it hangs on where the sources lie"
    find "$tree" -exec touch -d 2001-02-03 {} +
    echo words >"$tree/shim/words.md"
    [ "$(fingerprint "$tree")" = "$first" ] || fail "it hangs on what is no source"
    for folder in shim shim/new/deep planner planner/new kernels kernels/new; do
        mkdir -p "$tree/$folder"
        for kind in c h def cu cuh; do
            : >"$tree/$folder/added.$kind"
            now=$(fingerprint "$tree")
            [ "$now" != "$first" ] || fail "$folder/added.$kind does not change it"
            mv "$tree/$folder/added.$kind" "$tree/$folder/renamed.$kind"
            [ "$(fingerprint "$tree")" != "$now" ] || fail "another name for $folder/added.$kind does not change it"
            rm "$tree/$folder/renamed.$kind"
        done
    done
    [ "$(fingerprint "$tree")" = "$first" ] || fail "it has changed for good"
    echo "/* another */" >>"$tree/planner/topo.h"
    [ "$(fingerprint "$tree")" != "$first" ] || fail "other bytes do not change it"
}

# A build notices a source in a new folder by itself.
case_fingerprint_is_rebuilt() {
    local tree=$work/tree header=$work/build/shim/generated/fingerprint.h make
    mkdir "$tree" && cp -r "$root"/{CMakeLists.txt,README.md,LICENSE,shim,planner,kernels,integration} "$tree" || fail cp
    make="cmake --build $work/build --target hiermoe_fingerprint"
    cmake -S "$tree" -B "$work/build" -DHM_TESTS=OFF -DHM_CUDA=OFF >"$work/said" 2>&1 && $make >>"$work/said" 2>&1 ||
        fail "$(cat "$work/said")"
    cp "$header" "$work/before"
    mkdir "$tree/planner/new" && : >"$tree/planner/new/added.h" || fail mkdir
    $make >>"$work/said" 2>&1 || fail "$(cat "$work/said")"
    ! cmp -s "$header" "$work/before" || fail "planner/new/added.h was not noticed"
}

# A misspelt preset once came to light after the presets before it had run.
case_run_refuses() {
    ends 0 "tests/run ci asan" "$root/tests/run" --help
    ends 0 "tests/run ci asan" "$root/tests/run" -h
    ends 0 "tests/run quick" "$root/tests/run" -h
    ends 2 "there is no preset 'cii': expected some of quick default ci asan tsan" "$root/tests/run" ci cii
    ends 2 "there is no preset 'ci asan': expected" "$root/tests/run" "ci asan"
    ends 2 "there is no preset '--nonsense': expected" "$root/tests/run" --nonsense
}

# Without PyTorch even --help once was a traceback, and what cannot be written was noticed after the training.
case_capture_trace_refuses() {
    local trace=(python3 "$root/integration/capture_trace.py") name path=$work/path
    mkdir "$path"
    echo 'raise ImportError("no torch here")' >"$path/torch.py"
    ends 0 "file to write" env PYTHONPATH="$path" "${trace[@]}" --help
    ends 2 "needs the Python package torch: no torch here" env PYTHONPATH="$path" "${trace[@]}" --out "$work/x"
    for name in steps layers hidden heads experts topk ffn length ranks tokens; do
        ends 2 "--$name: expected a whole number of at least 1, got '0'" \
            env PYTHONPATH="$path" "${trace[@]}" --out "$work/x" --$name 0
    done
    ends 2 "--text: $work/none*: expected files with more than 513 bytes together" \
        env PYTHONPATH="$path" "${trace[@]}" --out "$work/x" --text "$work/none*"
    [ ! -e "$work/x" ] || fail "a file was written"
    # Enough of PyTorch to get to the file.
    printf 'class nn:\n    Module = object\n    functional = None\n' >"$path/torch.py"
    echo 'import sys; sys.modules["torch.nn"] = nn' >>"$path/torch.py"
    ends 2 "--out: /nope/x: No such file" env PYTHONPATH="$path" "${trace[@]}" --out /nope/x --device cpu
}

case_nccl_versions_refuses() {
    local versions=$root/tests/nccl_versions
    ends 0 "cu13:newest" "$versions" --help
    ends 2 "expected a release such as 2.28.9, cu13:2.28.9 or cu13:newest, got 'latest'" \
        "$versions" --build "$BUILD" latest
    ends 2 "expected the library in /nope/lib/libhiermoe.so: was it built?" "$versions" --build /nope
}

# The first page names every reason and only settings that there are, and stays short.
case_readme() {
    local readme=$root/README.md lines
    lines=$(wc -l <"$readme")
    [ "$lines" -le 140 ] || fail "README.md has $lines lines, expected at most 140"
    sed -n 's/^HM_REASON(\([A-Z_]*\),.*/\L\1/p' "$root/shim/base/reasons.def" | grep -v '^none$' | sort >"$work/reasons"
    sed -n '/^| in `left`/,/^$/p' "$readme" | tail -n +3 | cut -d'|' -f2 | grep -o '[a-z_]*' | sort >"$work/named"
    [ -s "$work/named" ] || fail "README.md has no table of reasons"
    diff "$work/reasons" "$work/named" || fail "README.md's table has other reasons than shim/base/reasons.def"
    sed -n 's/^HM_SETTING([a-z_]*, "\([A-Z_]*\)".*/\1/p' "$root/shim/base/settings.def" | sort >"$work/settings"
    grep -o 'HIERMOE_[A-Z_]*' "$readme" | sort -u | comm -23 - "$work/settings" >"$work/unknown"
    [ ! -s "$work/unknown" ] || fail "README.md names no settings: $(tr '\n' ' ' <"$work/unknown")"
}

for file in "$root"/tests/scripts/cases_*.sh; do
    # shellcheck disable=SC1090
    . "$file"
done
declare -F "case_$1" >/dev/null || fail "there is no case $1"
"case_$1"
