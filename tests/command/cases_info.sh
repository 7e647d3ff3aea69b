# shellcheck shell=bash disable=SC2154,SC2016
# hiermoe info: version, settings with their sources, and what is said of a job's command.

json() { python3 -c "import json, sys; data = json.load(open(sys.argv[1])); $1" "$work/out" || fail "$1: $(cat "$work/out")"; }

case_info() {
    ends 0 "$hiermoe" info --json
    json 'assert {"version", "commit", "sources", "library", "cuda", "machine", "nccl", "topology", "profile"} <= set(data)'
    json 'assert data["library"].endswith("/libhiermoe.so") and data["profile"]["name"] == "prior", data'
    json 'assert data["commit"] and data["sources"].startswith("0x") and len(data["sources"]) == 10, data'
    ends 0 "$hiermoe" --version
    printed "hiermoe $("$hiermoe" info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])') (commit "
    ends 0 env HIERMOE_PROFILE=a6000-4x8 HIERMOE_TOPO=4,2 "$hiermoe" info
    printed "profile    a6000-4x8: 32 ranks, NVIDIA RTX A6000"
    printed "topology   4,2"
    ends 0 env HIERMOE_NCCL_LIB="$BUILD/tests/hostnccl/libnccl.so.2" "$hiermoe" info --json
    json 'assert any(copy["of"] == "HIERMOE_NCCL_LIB" and copy["version"].startswith("2.") for copy in data["nccl"]), data["nccl"]'
    : >"$work/libother.so"
    ends 0 "$hiermoe" info --library "$work/libother.so"
    printed "library    $work/libother.so"
    ends 0 "$hiermoe" info --library /nope
    said "info: --library /nope: No such file"
    printed "library    not found"
    ends 2 "$hiermoe" info --nonsense
    said "info: --nonsense: expected -c, --json"
    ends 2 "$hiermoe" info --check
    said "--check: expected the command"
    ends 2 "$hiermoe" info true
    said "expected --check before a command"
}

# What the code asks for is what the list holds: settings by the table, all else by getenv.
case_info_lists_all_settings() {
    ends 0 "$hiermoe" info -c --json
    json 'print(*[each["name"] for part in ("settings", "heeded") for each in data[part]], sep="\n")' | sort -u >"$work/listed"
    {
        grep -rhoE 'getenv\("[A-Z_0-9]+"\)' "$root"/{shim,kernels,planner} | cut -d'"' -f2
        grep -rhoE '"HIERMOE_[A-Z_0-9]*[A-Z0-9]"' "$root"/{shim,kernels,planner} --include=*.[ch] --include=*.def | tr -d '"'
    } | sort -u >"$work/read"
    [ "$(grep -c ^HIERMOE_ "$work/read")" -gt 20 ] || fail "only $(cat "$work/read") are read"
    diff "$work/read" "$work/listed" || fail "info -c lists other settings than the code reads"
    ends 0 "$hiermoe" info -c
    while read -r name; do
        grep -q "^[# ]*$name=" "$work/out" || fail "info -c does not print $name"
    done <"$work/listed"
}

case_info_says_where_values_are_from() {
    printf '# mine\nHIERMOE_DEPTH=2\nHIERMOE_DEPHT=1\nHIERMOE_SLICES=7\n' >"$work/.hiermoe.conf"
    ends 0 env -u HIERMOE_CONF_FILE HIERMOE_SLICES=3 HIERMOE_MODE=exakt HIERMOE_DEPHT=2 "$hiermoe" info -c --json
    json 's = {each["name"]: each for each in data["settings"]}; d = s["HIERMOE_DEPTH"]; assert (d["value"], d["source"], d["line"]) == ("2", sys.argv[1][:-3] + ".hiermoe.conf", 2), d'
    json 's = {each["name"]: each for each in data["settings"]}; d = s["HIERMOE_SLICES"]; assert (d["value"], d["source"]) == ("3", "environment"), d'
    json 's = {each["name"]: each for each in data["settings"]}; d = s["HIERMOE_MODE"]; assert (d["value"], d["understood"]) == ("off", False), d'
    json 's = {each["name"]: each for each in data["settings"]}; d = s["HIERMOE_TRUST"]; assert (d["value"], d["source"]) == ("known", "default"), d'
    json 'said = data["complaints"]; assert sum("HIERMOE_DEPHT is not a setting, did you mean HIERMOE_DEPTH" in text for text in said) == 2, said'
    # What it prints can be used as a file, and gives the same again.
    ends 0 env -u HIERMOE_CONF_FILE HIERMOE_SLICES=3 HIERMOE_TOPO=2,2 "$hiermoe" info -c
    said "did you mean HIERMOE_DEPTH"
    grep -v '^#' "$work/out" >"$work/values"
    cp "$work/out" "$work/again.conf"
    ends 0 env HIERMOE_CONF_FILE="$work/again.conf" "$hiermoe" info -c
    [ ! -s "$work/err" ] || fail "$(cat "$work/err")"
    grep -v '^#' "$work/out" | diff "$work/values" - || fail "the file does not give what it was made of"
}

# The hint reaches the user of a whole job once, not from every rank.
case_mistyped_setting_is_said_once() {
    without_sanitizers
    ends 0 env HIERMOE_DEPHT=2 "${on_hostnccl[@]}" "$hiermoe" run "${settings[@]}" -- bash -c "$ranks" ranks "${job[@]}"
    [ "$(grep -c "HIERMOE_DEPHT is not a setting, did you mean HIERMOE_DEPTH" "$work/err")" = 1 ] || fail "$(cat "$work/err")"
}

# Whether a setting is in effect is said by rank 0, with where it is from.
case_settings_in_effect_are_said() {
    without_sanitizers
    echo "HIERMOE_SLICES=3" >"$work/.hiermoe.conf"
    ends 0 env -u HIERMOE_CONF_FILE "${on_hostnccl[@]}" "$hiermoe" run "${settings[@]}" --debug INFO -- \
        bash -c "$ranks" ranks "${job[@]}"
    for text in "HIERMOE_DEPTH=2, from the environment" "HIERMOE_SLICES=3, from $work/.hiermoe.conf, line 1"; do
        [ "$(grep -cF "$text" "$work/err")" = 1 ] || fail "'$text' is not said once: $(cat "$work/err")"
    done
}

case_info_check() {
    without_sanitizers
    ends 0 "$hiermoe" info --check --json -- "$BUILD/bin/command_use_linked"
    json 'assert [(each["name"], each["verdict"]) for each in data["checks"]][:4] == [("library", "good"), ("program", "good"), ("nccl", "good"), ("dispatcher", "good")], data'
    json 'assert "tests/hostnccl/libnccl.so.2" in data["checks"][2]["text"], data'
    ends 0 "$hiermoe" info --check -- "$BUILD/bin/command_use_handle"
    grep -q "^nccl  *unknown .*libcommand_handle.so opens libnccl.so itself: .*RTLD_DEEPBIND" "$work/out" || fail "$(cat "$work/out")"
    ends 1 "$hiermoe" info --check "$BUILD/bin/command_use_symbolic"
    grep -q "^nccl  *bad .*-Bsymbolic" "$work/out" || fail "$(cat "$work/out")"
    ends 0 "$hiermoe" info --check -- no_such_program
    printed "no_such_program is no program of this machine"
    mkdir "$work/a b" && cp "$BUILD/lib/libhiermoe.so" "$work/a b/" || fail cp
    ends 0 "$hiermoe" info --library "$work/a b/libhiermoe.so" --check -- "$BUILD/bin/command_use_linked"
}
