#!/usr/bin/env bash
# Runs tests on a build with the address and undefined behaviour sanitizers. Arguments go to pytest.
#
# In a copy of the sources below build/, so that the modules in place stay what they are.
set -euo pipefail
cd "$(dirname "$0")/.."
copy=build/sanitize
mkdir -p "$copy"

# Only what changed, times kept, so that the next build compiles only what it must.
git ls-files -z -co --exclude-standard | sort -z | xargs -0 -I{} sh -c '[ -f "{}" ] && printf "%s\0" "{}"' |
    tee "$copy/.files.next" | xargs -0 cp --parents --preserve=mode,timestamps --update -t "$copy"
if [ -f "$copy/.files" ]; then
    comm -z -23 "$copy/.files" "$copy/.files.next" | (cd "$copy" && xargs -0 rm -f)
fi
mv "$copy/.files.next" "$copy/.files"
ln -sfn "$PWD/.venv" "$copy/.venv"

cd "$copy"
tools/build.sh sanitize

# Python keeps much until its end, so leaks are not looked for. A finding ends the process.
export LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS
LD_PRELOAD="$(gcc -print-file-name=libasan.so)"
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:disable_coredump=0:allocator_may_return_null=1
UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
export PYTHONFAULTHANDLER=1 CC_SANITIZED=1
exec .venv/bin/python -m pytest -q -p no:cacheprovider "$@"
