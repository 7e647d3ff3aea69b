# shellcheck shell=bash disable=SC2154
# integration/demo, small: its figures, and what it says where the library does nothing.

case_demo() {
    without_sanitizers
    needs_nodes
    local demo=("$root/integration/demo" --no-build --build-dir "$BUILD" --prefix "hmcl$$" --rounds 1 --iterations 2
        --tokens 256 --hidden 512 --json "$work/out")
    mkdir "$work/a blank" && cp "$BUILD/lib/libhiermoe.so" "$work/a blank/" || fail cp
    # A recorded trace over another shape, the library in a folder with a blank.
    timeout 900 "${demo[@]}" --nodes 3 --ranks-per-node 2 --library "$work/a blank/libhiermoe.so" >"$work/table" 2>&1 ||
        fail "exit $?: $(cat "$work/table")"
    json 'assert data["exact"] and data["depth"] > 0 and data["preloaded_ranks"] == 6 and data["ranks"] == 6, data'
    json 'assert 0.2 < data["wire_ratio"] < 0.9 and data["shim"]["cpu_ms"] > 0 and 0 <= data["busy"] <= 1, data'
    grep -q "processor time of it, on each core" "$work/table" || fail "$(cat "$work/table")"
    local got=0
    HIERMOE_MODE=off timeout 900 "${demo[@]}" --nodes 2 --ranks-per-node 1 >"$work/table" 2>&1 || got=$?
    [ $got = 3 ] || fail "exit $got where no call is replaced: $(cat "$work/table")"
    grep -q "the library replaced no call: mode_off" "$work/table" || fail "$(cat "$work/table")"
    got=0
    timeout 900 "${demo[@]}" --nodes 2 --ranks-per-node 1 --library "$(any_library)" >"$work/table" 2>&1 || got=$?
    [ $got = 3 ] || fail "exit $got where the library is not loaded: $(cat "$work/table")"
    grep -q "the library was not loaded" "$work/table" || fail "$(cat "$work/table")"
}
