#!/usr/bin/env bash
# Runs a fuzzer for some seconds on what was found before; what it finds ends it with an error.
#
#   tools/fuzz.sh NAME SECONDS [keep]
#
#   decoder  requests: memory, and the same command whatever was there before
#   reading  requests: each as the official library reads it
#   writing  replies of any bytes: each answer as the official library writes it
#   front    the running front end: frames
#   tls      the same behind TLS: handshakes, records and alerts, bent on their way
#
# Modules that read what strangers send are compiled once more, by clang with libFuzzer's counters and
# the address and undefined behaviour sanitizers, below build/fuzz; the others are those in place.
# `control` has a fault that must be found. An input that ends badly is left in build/fuzz/found. With
# `keep` what covers more joins tests/fuzz/corpus/NAME.zip, which every run begins with.
set -euo pipefail
cd "$(dirname "$0")/.."

subject="$1" seconds="$2" keep="${3:-}"
out=build/fuzz
python="$PWD/.venv/bin/python"
flags=(-g -O1 -fPIC -fno-strict-aliasing -fno-omit-frame-pointer -D_GNU_SOURCE -w
    -fsanitize=fuzzer-no-link,address,undefined -shared-libasan)

lack() { echo "lacking: $1" >&2 && exit 3; }
command -v clang >/dev/null || lack clang
runtime="$(clang -print-resource-dir)/lib/linux"
asan="$runtime/libclang_rt.asan-$(uname -m).so"
fuzzer="$runtime/libclang_rt.fuzzer_no_main-$(uname -m).a"
[ -f "$asan" ] && [ -f "$fuzzer" ] || lack libclang-rt-dev
ls ext/front/session.*.so >/dev/null 2>&1 || lack "the native front end (make build)"

mkdir -p "$out/ext/front" "$out/found"
exec 9>"$out/.lock"
flock 9
include="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
suffix="$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')"
for module in "$PWD"/ext/*.py "$PWD"/ext/*"$suffix"; do
    made="$out/ext/${module##*/}" # a file of its own has been compiled here: see below
    [ -f "$made" ] && [ ! -L "$made" ] || ln -sfn "$module" "$made"
done
ln -sfn "$PWD"/ext/front/__init__.py "$out/ext/front/"

# compile OUTPUT SOURCE FLAGS...: only what has changed since
compile() {
    local made="$1" source="$2"
    shift 2
    if [ -L "$made" ] || [ ! -f "$made" ] || [ "$source" -nt "$made" ] ||
        [ -n "$(find ext -name '*.h' -newer "$made" -print -quit)" ]; then
        rm -f "$made"
        clang "${flags[@]}" -shared -I"$include" -Iext -o "$made" "$source" "$@"
    fi
}
modules=(wire wire_reader wire_decode wire_batch wire_encode wire_texts)
if [ "$subject" = front ] || [ "$subject" = tls ]; then
    for source in ext/front/*.pyx; do
        case "$source" in */load*) ;; *) modules+=("front/$(basename "$source" .pyx)") ;; esac
    done
fi
for module in "${modules[@]}"; do
    compile "$out/ext/$module$suffix" "build/cython-release/ext/$module.c" \
        -Ibuild/cython-release/ext -Iext/front -lnghttp2 -lssl -lcrypto
done
compile "$out/driver.so" tests/fuzz/driver.c -Wl,--whole-archive "$fuzzer" -Wl,--no-whole-archive \
    -lssl -lcrypto -lstdc++ -lm -lpthread -ldl
flock -u 9

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/known" "$work/new"
export PYTHONPATH="$PWD/$out:$PWD:$PWD/build/stubs"
"$python" -m tests.fuzz.seeds "$subject" "$work/known"
saved="tests/fuzz/corpus/$subject.zip"
[ ! -f "$saved" ] || "$python" -m zipfile -e "$saved" "$work/new"
[ "$subject" != reading ] || "$python" -m zipfile -e tests/fuzz/corpus/decoder.zip "$work/known"

# Memory is Python's too, so what is not freed shows as growth. Its own end is not looked at.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:verify_asan_link_order=0:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# It must not be loaded with the driver, and must not outlive what asks it with our output in hand.
symbolizer="$(command -v llvm-symbolizer || ls /usr/bin/llvm-symbolizer-* 2>/dev/null | head -n 1 || true)"
printf '#!/bin/sh\nunset LD_PRELOAD\nexec timeout 60 %s "$@"\n' "${symbolizer:-false}" >"$work/llvm-symbolizer"
chmod +x "$work/llvm-symbolizer"
ASAN_OPTIONS+=":external_symbolizer_path=$work/llvm-symbolizer"
UBSAN_OPTIONS+=":external_symbolizer_path=$work/llvm-symbolizer"
subject() {
    LD_PRELOAD="$PWD/$out/driver.so:$asan" PYTHONMALLOC=malloc \
        "$python" -P -m tests.fuzz.subject "$subject" "$@"
}
subject -max_len=4096 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
    "-artifact_prefix=$out/found/$subject-" "-max_total_time=$seconds" "$work/new" "$work/known"
if [ -n "$keep" ]; then
    (cd "$work/new" && "$python" -m zipfile -c ../corpus.zip ./*)
    mv "$work/corpus.zip" "$saved"
fi
