#!/usr/bin/env bash
# Runs all tests: first those that may share the machine, two at a time, then the others.
# Arguments go to pytest. CC_SEED=N repeats a run's random numbers.
set -euo pipefail
cd "$(dirname "$0")/.."

CC_SEED="${CC_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
export CC_SEED
# -rs: what was skipped says what it lacks.
pytest=(.venv/bin/python -m pytest -q -rs "--hypothesis-seed=$CC_SEED" "$@")
no_tests_collected=5

run() {
    local status=0
    "${pytest[@]}" "$@" || status=$?
    if [ "$status" != 0 ] && [ "$status" != "$no_tests_collected" ]; then
        printf '\nTo repeat with the same random numbers: make test CC_SEED=%s\n' "$CC_SEED"
        exit "$status"
    fi
}

run -n 2 --dist loadscope -m "not serial"
run -m serial
printf 'All tests passed (CC_SEED=%s).\n' "$CC_SEED"
