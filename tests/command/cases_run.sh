# shellcheck shell=bash disable=SC2154,SC2016
# hiermoe run: what becomes of the job, its environment and its launcher.

# Some library that any program can load; the library itself where a build without sanitizers needs no runtime.
any_library() { ldd "$hiermoe" | sed -n 's/.*=> \(.*libjansson[^ ]*\) .*/\1/p'; }
# run ARG...: without the checks, which have cases of their own.
run=("$hiermoe" run --no-check --library "$(any_library)")

case_run_status() {
    printf 'a\0b\n' >"$work/bytes"
    ends 7 "${run[@]}" -- sh -c 'cat; exit 7' <"$work/bytes"
    cmp "$work/out" "$work/bytes" || fail "the job's output is another"
    said "hiermoe: exact, depth auto, profile prior"
    said "the library saw no communicator of several ranks"
    ends 0 "${run[@]}" --quiet true
    [ ! -s "$work/err" ] || fail "--quiet says $(cat "$work/err")"
    ends 137 "${run[@]}" -- sh -c 'kill -9 $$'
    said "a signal ended the job before its ranks left statistics"
    ends 127 "${run[@]}" -- no_such_program
    said "hiermoe: run: no_such_program: No such file or directory"
    : >"$work/plain"
    ends 126 "${run[@]}" -- "$work/plain"
    ends 2 "${run[@]}"
    said "run: expected the command that starts the job"
    ends 2 "${run[@]}" --nonsense -- true
    said "--nonsense: no such option"
    ends 2 "$hiermoe" run --library /nope/lib.so -- true
    said "--library /nope/lib.so: No such file"
    # What the job starts has no more than the job itself: no options of run, no rest of the folder.
    ends 0 "${run[@]}" -- sh -c 'echo "$HIERMOE_STATS_FILE"'
    [ ! -e "$(dirname "$(cat "$work/out")")" ] || fail "$(cat "$work/out") is still there"
}

# The job ends by a signal, and so does what started it; a signal to the command reaches the job.
case_run_signals() {
    python3 - "${run[@]}" --quiet -- <<'END' || fail "signals"
import signal, subprocess, sys
run = sys.argv[1:]
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT):
    ended = subprocess.run([*run, "sh", "-c", f"kill -{int(number)} $$"]).returncode
    assert ended == -number, f"ended with {ended} where the job ended by signal {int(number)}"
for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2"):
    job = f"trap 'echo got {name}; exit 3' {name}; echo ready; while kill -0 $PPID; do sleep 0.05; done"
    process = subprocess.Popen([*run, "sh", "-c", job], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, "SIG" + name))
    try:
        said = process.communicate(timeout=900)[0]
    finally:
        process.kill()
    assert (process.wait(), said) == (3, f"got {name}\n"), (name, process.returncode, said)
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
job = "kill -HUP $PPID; sleep 0.2; kill -HUP $$; echo alive"
said = subprocess.run([*run, "sh", "-c", job], stdout=subprocess.PIPE, text=True, restore_signals=False)
assert (said.returncode, said.stdout) == (0, "alive\n"), said
END
}

# The job's end is the command's where its parent ignores children's ends, and where nobody reads what it says.
case_run_odd_parents() {
    python3 - "${run[@]}" -- <<'END' || fail "odd parents"
import signal, subprocess, sys
run = sys.argv[1:]
def ignore(): signal.signal(signal.SIGCHLD, signal.SIG_IGN)
assert subprocess.run([*run, "sh", "-c", "exit 7"], preexec_fn=ignore).returncode == 7, "SIGCHLD ignored"
for number in (signal.SIGCHLD, signal.SIGPIPE):
    said = subprocess.run([*run, "grep", "SigIgn", "/proc/self/status"], stdout=subprocess.PIPE, text=True,
                          restore_signals=False, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    mask = int(said.stdout.split()[1], 16)
    assert mask >> (number - 1) & 1, f"the job finds signal {int(number)} otherwise: {said.stdout}"
process = subprocess.Popen([*run, "sh", "-c", "exit 7"], stderr=subprocess.PIPE)
process.stderr.close()
assert process.wait() == 7, f"a reader that went away: {process.returncode}"
END
}

case_run_preload() {
    local library=$(any_library) place name
    ends 0 env LD_PRELOAD=libm.so.6 "${run[@]}" -- sh -c 'echo "$LD_PRELOAD"; cat /proc/$$/maps'
    printed "$(readlink -f "$library"):libm.so.6"
    printed "$(readlink -f "$library")"
    for name in "a blank" "a:colon"; do
        place="$work/$name"
        mkdir "$place" && cp "$library" "$place/libhiermoe.so" || fail cp
        ends 0 env LD_PRELOAD=libm.so.6 "$hiermoe" run --no-check --library "$place/libhiermoe.so" -- \
            sh -c 'echo "$LD_PRELOAD"; cat /proc/$$/maps'
        printed "/$name/libhiermoe.so"
        printed ":libm.so.6"
        ! grep -q "cannot be preloaded" "$work/err" || fail "$(cat "$work/err")"
        [ ! -e "$(sed -n '1s/:libm.*//p' "$work/out")" ] || fail "the link is still there"
    done
}

case_run_settings() {
    ends 0 "${run[@]}" --depth=2 --min-bytes 1M --set HIERMOE_TEST_PATIENCE=5 --mode observe --set timeout=9 -- \
        sh -c 'env | grep ^HIERMOE_'
    for name in DEPTH=2 MIN_BYTES=1M TEST_PATIENCE=5 MODE=observe TIMEOUT=9; do printed "HIERMOE_$name"; done
    said "hiermoe: observe, depth 2"
    ends 0 env HIERMOE_DEPTH=1 HIERMOE_STATS_INTERVAL=3 "${run[@]}" --depth 2 -- sh -c 'env | grep ^HIERMOE_'
    printed HIERMOE_DEPTH=2
    printed HIERMOE_STATS_INTERVAL=3
    ends 0 env HIERMOE_STATS_FILE="$work/mine.%r" "${run[@]}" -- sh -c 'echo "$HIERMOE_STATS_FILE"'
    printed "$work/mine.%r"
    ends 2 "${run[@]}" --depth 9 -- true
    said "HIERMOE_DEPTH=9 is not understood; accepted: auto|0..6"
    ends 2 "${run[@]}" --set HIERMOE_DEPHT=2 -- true
    said "HIERMOE_DEPHT is not a setting, did you mean HIERMOE_DEPTH"
    ends 2 "${run[@]}" --set HIERMOE_DEPTH -- true
    said "--set HIERMOE_DEPTH: expected NAME=VALUE"
    ends 2 "${run[@]}" --depth
    said "--depth: expected a value"
    echo "HIERMOE_SLICES=100" >"$work/.hiermoe.conf"
    ends 2 env -u HIERMOE_CONF_FILE "${run[@]}" -- true
    said "HIERMOE_SLICES=100 (from $work/.hiermoe.conf) is not understood; accepted: auto|1..64"
    # Everything in the table is an option, but what tests alone use.
    "$hiermoe" run --help >"$work/help"
    for name in $("$hiermoe" settings | awk 'NR > 1 && $1 !~ /_TEST_/ { print $1 }'); do
        name=${name#HIERMOE_} && name=${name,,}
        grep -q -- "--${name//_/-} " "$work/help" || fail "run has no option --${name//_/-}"
    done
}

# stand_in NAME VERSION: a launcher that says how it was called.
stand_in() {
    mkdir -p "$work/bin"
    printf '#!/bin/sh\n[ "$1" != --version ] || { echo "%s"; exit; }\nfor word; do echo "word $word"; done\necho "preload $LD_PRELOAD"\n' \
        "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
words() { sed -n 's/^word //p' "$work/out" | tr '\n' ' '; }
launched() { # WORDS...: what the launcher got
    [ "$(words)" = "$* " ] || fail "the launcher got '$(words)', expected '$* '"
    printed "preload $(readlink -f "$(any_library)")"
}

case_run_openmpi() {
    stand_in mpirun "mpirun (Open MPI) 4.1.4"
    cd "$work" || fail cd
    ends 0 env PATH="$work/bin:$PATH" "${run[@]}" --depth 2 -- mpirun -np 2 true
    words | grep -q "^-x LD_PRELOAD -x .*-np 2 true $" || fail "mpirun got $(words)"
    for name in HIERMOE_DEPTH HIERMOE_STATS_FILE HIERMOE_STATS_INTERVAL; do
        words | grep -q -- "-x $name " || fail "mpirun got $(words)"
    done
    [ -z "$(find "$work" -name '.hiermoe-run*')" ] || fail "the folder of the run is still there"
    ends 2 env PATH="$work/bin:$PATH" "$hiermoe" fit --preload "$(any_library)" --sizes 1K,2K -- mpirun -np 2 true
    words | grep -q "^-x LD_PRELOAD .*-x HIERMOE_FIT_FILE .*-np 2 true $" || fail "fit: mpirun got $(words)"
}

case_run_hydra() {
    stand_in mpiexec "HYDRA build details:"
    ends 0 env PATH="$work/bin:$PATH" "${run[@]}" -- mpiexec -n 2 true
    launched -n 2 true
}

case_run_srun() {
    stand_in srun "slurm 22.05.8"
    local names=LD_PRELOAD,PYTHONPATH,HIERMOE_CONF_FILE srun=(env PATH="$work/bin:$PATH" HIERMOE_CONF_FILE=none "${run[@]}" --quiet -- srun)
    ends 0 "${srun[@]}" -N 2 --ntasks-per-node 8 python3 train.py --export=mine
    launched "--export=ALL,$names" -N 2 --ntasks-per-node 8 python3 train.py --export=mine
    ends 0 "${srun[@]}" -N 2 --export=PATH,A=1 -n 4 sh -c true
    launched -N 2 "--export=PATH,A=1,$names" -n 4 sh -c true
    ends 0 "${srun[@]}" --export NONE sh
    launched "--export=$names" sh
    ends 0 env SLURM_EXPORT_ENV=NIL "${srun[@]}" sh
    launched "--export=$names" sh
}

# Adapters stand beside an installed command; they come first.
case_run_adapters() {
    local place="$work/place"
    mkdir -p "$place/bin" "$place/libexec/hiermoe/adapters/site" && cp "$hiermoe" "$place/bin/" || fail cp
    ends 0 env PYTHONPATH=/mine "$place/bin/hiermoe" "${run[@]:1}" -- sh -c 'cd "${PYTHONPATH%:/mine}" && pwd -P'
    printed "$(readlink -f "$place")/libexec/hiermoe/adapters/site"
    rm -r "$place/libexec"
    ends 0 env PYTHONPATH=/mine "$place/bin/hiermoe" "${run[@]:1}" -- sh -c 'echo "$PYTHONPATH"'
    [ "$(cat "$work/out")" = /mine ] || fail "PYTHONPATH is $(cat "$work/out")"
}
