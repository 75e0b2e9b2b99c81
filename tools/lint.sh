#!/usr/bin/env bash
# Runs every linter and reports all of them; --fix lets the formatters rewrite instead.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"      # cython-lint looks up pycodestyle there

failed=()
lines_shown=40
check() {
    local name="$1" output
    shift
    if output="$("$@" 2>&1)"; then
        printf '  %-12s ok\n' "$name"
    else
        printf '  %-12s FAILED\n%s\n' "$name" "$(head -n "$lines_shown" <<<"$output")"
        [ "$(wc -l <<<"$output")" -le "$lines_shown" ] || printf '(more: run %s)\n' "$*"
        printf '\n'
        failed+=("$name")
    fi
}

typed=()
for folder in core server clients bench tools; do
    if [ -n "$(find "$folder" -name '*.py' -print -quit 2>/dev/null)" ]; then
        typed+=("$folder")
    fi
done
mapfile -t cython < <(find ext -name '*.pyx' -o -name '*.pxd' 2>/dev/null | grep -v '/reasons.pxd$' | sort)
mapfile -t stubs < <(find ext -name '*.pyi' | sort | sed 's/\.pyi$//; s#/#.#g')
mapfile -t protos < <(find proto -name '*.proto' 2>/dev/null)

# buf cannot see google/rpc/*.proto without a network, so it lints what protoc has resolved.
lint_protos() {
    mkdir -p build
    python tools/gen_stubs.py --image build/proto.binpb
    buf lint build/proto.binpb --config buf.yaml --path campuscard
}

if [ "${1:-}" = --fix ]; then
    ruff check --fix --quiet . || true
    ruff format --quiet .
    [ "${#protos[@]}" = 0 ] || buf format --write proto
fi

echo "Linting"
check "ruff" ruff check --quiet --output-format concise .
check "ruff format" ruff format --check --output-format concise .
[ "${#typed[@]}" = 0 ] || check "mypy" mypy --no-error-summary "${typed[@]}"
[ "${#stubs[@]}" = 0 ] || check "stubtest" env PYTHONPATH=.:build/stubs python -m mypy.stubtest \
    --mypy-config-file pyproject.toml --allowlist tools/stubtest_allow.txt \
    --ignore-unused-allowlist --concise "${stubs[@]}"
[ "${#cython[@]}" = 0 ] || check "cython-lint" cython-lint "${cython[@]}"
if [ "${#protos[@]}" != 0 ]; then
    check "buf lint" lint_protos
    check "buf format" buf format --diff --exit-code proto
fi

if [ "${#failed[@]}" != 0 ]; then
    printf 'Failed: %s. `make format` mends layout; the rest is yours.\n' "${failed[*]}"
    exit 1
fi
