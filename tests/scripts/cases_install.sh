# shellcheck shell=bash disable=SC2154,SC2015
# What is installed and packaged, and what a build needs.

# As users install it: these files and no others, and the command finds its library there.
case_install() {
    local prefix=$work/prefix
    cmake --install "$BUILD" --prefix "$prefix" >"$work/said" 2>&1 || fail "cmake --install: $(cat "$work/said")"
    (cd "$prefix" && find . -type f | sort) >"$work/files"
    printf './%s\n' bin/hiermoe include/hiermoe.h "$LIBDIR/libhiermoe.so" share/doc/hiermoe/LICENSE \
        share/doc/hiermoe/README.md share/doc/hiermoe/JOBS.md share/man/man1/hiermoe.1 share/bash-completion/completions/hiermoe \
        "share/modulefiles/hiermoe/$("$prefix/bin/hiermoe" --version | cut -d" " -f2)" \
        "$LIBDIR/pkgconfig/hiermoe.pc" "$LIBDIR"/cmake/hiermoe/hiermoe{Config,ConfigVersion,Targets}.cmake | sort >"$work/want"
    # Verbs and adapters have folders of their own; the name of the last of CMake's files is that of the build type.
    grep -v "^./libexec/hiermoe/\|/hiermoeTargets-[a-z]*.cmake$" "$work/files" | diff "$work/want" - ||
        fail "other files than expected were installed"
    [ "$(find "$prefix/libexec" -name "__pycache__" 2>/dev/null)" = "" ] || fail "caches were installed"
    ends 0 HIERMOE_MODE "$prefix/bin/hiermoe" settings
    ends 0 "usage: hiermoe ab" "$prefix/bin/hiermoe" ab --help
    ends 0 "usage: hiermoe report" "$prefix/bin/hiermoe" report --help
    # Sanitizers insist on being loaded first.
    [ -n "$SANITIZE" ] || (cd "$work" && ends 2 "left no profile" "$prefix/bin/hiermoe" fit -- true) || exit 1
}

# What is installed may be moved, and programs find it there: by pkg-config, and by find_package of CMake.
case_installed_is_found() {
    local prefix=$work/moved/prefix
    mkdir "$work/moved" && cmake --install "$BUILD" --prefix "$work/prefix" >"$work/said" 2>&1 &&
        mv "$work/prefix" "$prefix" || fail "cmake --install: $(cat "$work/said")"
    export PKG_CONFIG_PATH=$prefix/$LIBDIR/pkgconfig
    [ "$(readlink -f "$(pkg-config --variable=library hiermoe)")" = "$(readlink -f "$prefix/$LIBDIR/libhiermoe.so")" ] ||
        fail "pkg-config --variable=library hiermoe: $(pkg-config --variable=library hiermoe)"
    mkdir "$work/user" && cd "$work/user" || fail mkdir
    cat >use.c <<'END'
#include <hiermoe.h>
int main(void)
{
    const hiermoe_api_t *api = hiermoe_api_load();
    return api != NULL && api->version == HIERMOE_API_VERSION ? 0 : 1;
}
END
    cp use.c use.cc
    # Sanitizers insist on being loaded first: then it is enough that the files are found.
    # shellcheck disable=SC2046
    [ -n "$SANITIZE" ] || { cc use.c -o by_pkg_config -Wl,--no-as-needed "-Wl,-rpath,$prefix/$LIBDIR" \
        $(pkg-config --cflags --libs hiermoe) && ./by_pkg_config; } || fail "pkg-config: $(pkg-config --cflags --libs hiermoe)"
    cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.22)
project(user C CXX)
find_package(hiermoe 0.1 REQUIRED)
add_executable(linked use.c)
target_link_libraries(linked PRIVATE hiermoe::hiermoe)
target_link_options(linked PRIVATE -Wl,--no-as-needed)
add_executable(preloaded use.cc)
target_link_libraries(preloaded PRIVATE hiermoe::api)
add_custom_target(check ALL COMMAND linked COMMAND env LD_PRELOAD=$<TARGET_FILE:hiermoe::hiermoe> $<TARGET_FILE:preloaded>)
END
    cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" >"$work/said" 2>&1 || fail "find_package: $(cat "$work/said")"
    [ -n "$SANITIZE" ] || cmake --build build >"$work/said" 2>&1 || fail "a program by find_package: $(cat "$work/said")"
}

# Where there are environment modules.
case_module() {
    [ -r /usr/share/modules/init/bash ] || exit 77
    cmake --install "$BUILD" --prefix "$work/prefix" >"$work/said" 2>&1 || fail "cmake --install: $(cat "$work/said")"
    bash -c '. /usr/share/modules/init/bash; module use "$1/share/modulefiles" && module load hiermoe && command -v hiermoe' \
        bash "$work/prefix" >"$work/said" 2>&1
    grep -qxF "$work/prefix/bin/hiermoe" "$work/said" || fail "module load hiermoe: $(cat "$work/said")"
}

# What stands in JOBS.md as YAML can be read.
case_jobs_page() {
    python3 -c 'import yaml' 2>/dev/null || exit 77
    sed -n '/^```yaml/,/^```$/p' "$root/integration/JOBS.md" | sed '1d;$d' | python3 -c '
import sys, yaml
job = yaml.safe_load(sys.stdin)
container = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
assert container["command"][1:3] == ["run", "--"], container' || fail "the YAML of JOBS.md"
}

# The archive holds what is installed, and cpack leaves nothing in the source tree.
case_package() {
    cmake --install "$BUILD" --prefix "$work/prefix" >"$work/said" 2>&1 || fail "cmake --install: $(cat "$work/said")"
    (cd "$work" && cpack -G TGZ -B "$work/packages" --config "$BUILD/CPackConfig.cmake") >"$work/said" 2>&1 ||
        fail "cpack: $(cat "$work/said")"
    tar -xzf "$work"/packages/hiermoe-*.tar.gz -C "$work/packages" --strip-components=1 || fail tar
    rm -r "$work"/packages/_CPack_Packages "$work"/packages/hiermoe-*.tar.gz
    diff <(cd "$work/prefix" && find . ! -type d | sort) <(cd "$work/packages" && find . ! -type d | sort) ||
        fail "the archive holds other files than are installed"
    ends 0 HIERMOE_MODE "$work/packages/bin/hiermoe" settings
    grep -q "CPACK_PACKAGE_DIRECTORY \"$BUILD\"" "$BUILD/CPackConfig.cmake" || fail "packages do not go into the build folder"
}

# What is missing is named before anything is built, with what installs it.
case_missing_packages_are_named() {
    ends 1 "jansson is missing: run integration/setup" env PKG_CONFIG_LIBDIR=/nope \
        cmake -S "$root" -B "$work/build" -DHM_TESTS=OFF -DHM_CUDA=OFF
    ends 1 "uthash.h is missing: run integration/setup" cmake -S "$root" -B "$work/other" -DHM_TESTS=OFF -DHM_CUDA=OFF \
        "-DCMAKE_IGNORE_PATH=/usr/include;/usr/local/include"
}

# No compiler for kernels is a warning, and no other generator than make's is needed.
case_library_alone_by_make() {
    ends 0 "no nvcc that runs, or no cuda.h, was found" cmake -G "Unix Makefiles" -S "$root" -B "$work/build" -DHM_TESTS=OFF \
        -DHM_NVCC=/bin/false
    [ ! -e "$work/build/tests" ] || fail "tests are built"
    ends 0 "Built target hiermoe_commit" cmake --build "$work/build" --target hiermoe_commit
    ends 0 "Built target hiermoe_settings" cmake --build "$work/build" --target hiermoe_settings
}

# Verbs, options behind them, and files elsewhere.
case_completion() {
    bash -c '
        . "$1/integration/packaging/hiermoe.bash"
        complete_words() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _hiermoe 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"; }
        complete_words "$2" ru; complete_words "$2" run --qui; complete_words "$2" help inf; complete_words "$2" run --max-s' \
        bash "$root" "$BUILD/bin/hiermoe" >"$work/said"
    printf '%s\n' run --quiet info --max-scratch | diff - "$work/said" || fail "completion"
}
