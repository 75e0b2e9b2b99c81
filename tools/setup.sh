#!/usr/bin/env bash
# Makes .venv with everything campuscard needs. The second time it returns at once.
#
#   tools/setup.sh run     what building and running needs
#   tools/setup.sh dev     that and the tools of `make test` (default)
#
# PYTHON=/path/to/python3 chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

mode="${1:-dev}"
case "$mode" in
run) requirements=(requirements.txt requirements-build.txt) ;;
dev) requirements=(requirements.txt requirements-build.txt requirements-dev.txt) ;;
*) echo "usage: tools/setup.sh [run|dev]" >&2 && exit 2 ;;
esac

venv=.venv
sample=examples/terminal
want="$( (pwd; cat "${requirements[@]}" tools/setup.sh $sample/package-lock.json) | sha256sum | cut -d' ' -f1)"
if [ "$(cat "$venv/.stamp-$mode" 2>/dev/null)" = "$want" ] && [ -x "$venv/bin/python" ]; then
    exit 0
fi

mkdir -p build
exec 9>build/.setup-lock
flock 9
if [ "$(cat "$venv/.stamp-$mode" 2>/dev/null)" = "$want" ] && [ -x "$venv/bin/python" ]; then
    exit 0      # somebody else has just done it
fi

log=build/setup.log
: >"$log"
say() { printf '%s\n' "$@"; }    # each argument a line

# tried TEXT COMMAND...: the text and, unless it fails, how long it took; everything else in the log.
tried() {
    local text="$1" started=$SECONDS
    shift
    printf '  %s ... ' "$text"
    "$@" >>"$log" 2>&1 || return 1
    printf 'done (%d s)\n' $((SECONDS - started))
}

# step TEXT COMMAND...: what must not fail; shows the log's end if it does, and then $hint too.
hint=
step() {
    if tried "$@"; then return 0; fi
    printf 'FAILED\n\n'
    tail -n 30 "$log"
    say "" "The whole log: $log"
    [ -z "$hint" ] || say "$hint"
    exit 1
}

# attempt TEXT COMMAND...: what tests can do without; they say what they lack.
attempt() {
    tried "$@" || printf 'left out (see %s)\n' "$log"
}

version_ok() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
has_headers() {
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null
}
is_debian_python() {
    case "$("$1" -c 'import sys; print(sys._base_executable)')" in
    /usr/bin/*) command -v apt-get >/dev/null ;;
    *) return 1 ;;
    esac
}

# The first Python that is new enough and complete, else the first that is new enough.
choose_python() {
    local name usable=
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3 /usr/bin/python3}; do
        version_ok "$name" || continue
        usable="${usable:-$name}"
        if has_venv "$name" && has_headers "$name"; then
            printf '%s' "$name"
            return
        fi
    done
    printf '%s' "$usable"
}

compiles() {    # compiles HEADER FLAGS...: can a C program use this header and library?
    local header="$1"
    shift
    printf '#include <%s>\nint main(void) { return 0; }\n' "$header" |
        gcc -x c - -o /dev/null "$@" 2>/dev/null
}

missing_packages() {
    local python="$1" version
    version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    command -v gcc >/dev/null || echo gcc
    compiles stdio.h || echo libc6-dev
    compiles openssl/ssl.h -lssl -lcrypto || echo libssl-dev
    compiles nghttp2/nghttp2.h -lnghttp2 || echo libnghttp2-dev
    command -v pkg-config >/dev/null || echo pkg-config
    if is_debian_python "$python"; then
        has_venv "$python" || echo "python$version-venv"
        has_headers "$python" || echo "python$version-dev"
    fi
    if [ "$mode" = dev ]; then
        command -v strace >/dev/null || echo strace
    fi
}

compiles_fuzzer() {
    printf 'int main(void) { return 0; }\n' |
        clang -x c - -o /dev/null -fsanitize=address -shared-libasan 2>/dev/null
}

# Clients of other makers and a fuzzer's compiler: `make test` goes without them where it must.
wanted_packages() {
    command -v g++ >/dev/null || echo g++
    command -v clang >/dev/null || echo clang
    command -v curl >/dev/null || echo curl
    command -v h2load >/dev/null || echo nghttp2-client
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
    command -v protoc >/dev/null || echo protobuf-compiler
    command -v grpc_cpp_plugin >/dev/null || echo protobuf-compiler-grpc
    pkg-config --exists grpc++ 2>/dev/null || echo libgrpc++-dev
    pkg-config --exists protobuf 2>/dev/null || echo libprotobuf-dev
    compiles_fuzzer || echo libclang-rt-dev
}

# Set sudo to what makes apt-get root; fail where nothing does.
become_root() {
    sudo=
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" != 0 ] || return 0
    sudo="sudo -n"
    command -v sudo >/dev/null && sudo -n true 2>/dev/null
}

install_wanted() {
    local sudo
    if ! become_root; then
        say "  Left out, and the tests that need them: $*"
        return
    fi
    # shellcheck disable=SC2086  # $sudo is empty or two words
    attempt "Reading the package lists (about 10 s)" $sudo apt-get update -q
    # shellcheck disable=SC2086
    attempt "Installing $* (about 60 s)" $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"
}

install_packages() {
    local line="apt-get install -y --no-install-recommends $*" sudo
    if ! become_root; then
        say "These system packages are missing: $*" "" \
            "    sudo $line" "" "Install them (names as in Debian 12), then run make again."
        exit 1
    fi
    step "Reading the package lists (about 10 s)" $sudo apt-get update -q
    # shellcheck disable=SC2086  # $sudo is empty or two words
    step "Installing $* (about 30 s)" \
        $sudo env DEBIAN_FRONTEND=noninteractive $line
}

make_environment() {
    rm -rf "$venv"
    "$1" -m venv "$venv"
}

install_requirements() {
    local files=()
    for file in "${requirements[@]}"; do files+=(-r "$file"); done
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "${files[@]}"
}

# The checkout itself is what runs: a path file and a start script instead of an install.
link_checkout() {
    local site
    site="$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    printf '%s\n%s\n' "$PWD" "$PWD/build/stubs" >"$site/campuscard.pth"
    printf '%s\n' "#!$PWD/$venv/bin/python" "import sys" "" \
        "from clients.admin.cli import main" "" "sys.exit(main())" >"$venv/bin/campuscard"
    chmod +x "$venv/bin/campuscard"
}

say "Setting up (first time: about a minute, log in $log)"
python="$(choose_python)"
if [ -z "$python" ]; then
    say "campuscard needs Python 3.11 or newer, and none was found." "" \
        "    sudo apt-get install -y python3 python3-venv python3-dev" "" \
        "On a system whose python3 is older, point at a newer one: make PYTHON=/path/to/python3"
    exit 1
fi
mapfile -t missing < <(missing_packages "$python")
if [ "${#missing[@]}" -gt 0 ]; then
    install_packages "${missing[@]}"
fi
if [ "$mode" = dev ]; then
    mapfile -t wanted < <(wanted_packages)
    [ "${#wanted[@]}" = 0 ] || install_wanted "${wanted[@]}"
fi
if ! has_venv "$python" || ! has_headers "$python"; then
    say "$("$python" -c 'import sys; print(sys.executable)') lacks its venv module or Python.h." \
        "Install its development files, or choose another: make PYTHON=/path/to/python3"
    exit 1
fi
# A moved checkout or another interpreter needs a new environment.
if ! "$venv/bin/python" -c '' 2>/dev/null || [ "$(cat "$venv/.home" 2>/dev/null)" != "$PWD" ]; then
    step "Creating $venv with $("$python" -V 2>&1) (about 5 s)" make_environment "$python"
    pwd >"$venv/.home"
fi
hint="PyPI could not be reached? pip's own settings choose another index: PIP_INDEX_URL, PIP_FIND_LINKS."
step "Installing Python packages (about 40 s)" install_requirements
hint=
step "Linking the checkout" link_checkout
if [ "$mode" = dev ] && command -v npm >/dev/null; then
    attempt "Installing the sample terminal's packages (about 5 s)" \
        npm ci --prefix "$sample" --no-audit --no-fund --ignore-scripts
fi
printf '%s\n' "$want" >"$venv/.stamp-$mode"
