#!/usr/bin/env bash
# Builds the extension modules and the gRPC stubs in place, only when an input has changed.
#
#   tools/build.sh release|debug|sanitize
#
# CC_KEEP_GOING=1 builds what compiles and leaves out the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

flavor="${1:-release}"
case "$flavor" in
release) export CC_DEBUG=0 CC_SANITIZE=0 ;;
debug) export CC_DEBUG=1 CC_SANITIZE=0 ;;
sanitize) export CC_DEBUG=0 CC_SANITIZE=1 ;;
*) echo "usage: tools/build.sh release|debug|sanitize" >&2 && exit 2 ;;
esac

stamp=build/.built
log=build/build.log

# Everything the result depends on. Generated headers follow from these.
inputs() {
    {
        ls setup.py pyproject.toml requirements-build.txt tools/build.sh tools/gen_*.py \
            core/catalogue.py .venv/.home
        find ext proto -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.c' \
            -o -name '*.proto' \) ! -name 'reasons.h' ! -name 'reasons.pxd'
    } 2>/dev/null | sort
}

# The stamp holds the flavor and the list of inputs, and is as old as the build's start.
current() {
    local listing
    listing="$(printf '%s\n' "$flavor"; inputs)"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$listing" ] &&
        [ -z "$(inputs | xargs -I{} find {} -newer "$stamp" 2>/dev/null)" ]
}

current && exit 0
mkdir -p build
exec 9>build/.build-lock
flock 9         # two makes in one checkout take turns
current && exit 0

modules="$(find ext -name '*.pyx' 2>/dev/null | wc -l)"
protos="$(find proto -name '*.proto' 2>/dev/null | wc -l)"
printf 'Building %d extension modules and the stubs of %d protos (%s, first time about %d s) ... ' \
    "$modules" "$protos" "$flavor" $((5 + modules * 2))
started=$SECONDS
arguments=(egg_info --egg-base build/stubs build_ext --inplace)
if [ "$(cat build/.flavor 2>/dev/null)" != "$flavor" ]; then
    arguments+=(--force)        # the modules in place may be of another flavor
fi
printf '%s\n' "$flavor" >build/.flavor
mkdir -p build/stubs
{ printf '%s\n' "$flavor"; inputs; } >"$stamp.next"
if ! .venv/bin/python setup.py -q "${arguments[@]}" >"$log" 2>&1; then
    printf 'FAILED\n\n'
    if grep -q '^Error compiling Cython file' "$log"; then
        sed -n '/^Error compiling Cython file/,/^Traceback/p' "$log" | grep -v '^Traceback' | head -n 80
    elif grep -qE ' error: ' "$log"; then
        grep -E -A 4 ' error: ' "$log" | head -n 60
    else
        tail -n 30 "$log"
    fi
    printf '\nThe whole log: %s\n' "$log"
    rm -f "$stamp.next"
    exit 1
fi
if [ "${CC_KEEP_GOING:-0}" = 1 ]; then
    rm -f "$stamp.next" "$stamp"        # something may be missing: the next build looks again
else
    mv "$stamp.next" "$stamp"
fi
printf 'done (%d s)\n' $((SECONDS - started))
grep '^left out: ' "$log" || true
grep -E '^ext/.*warning:' "$log" | sort -u || true
