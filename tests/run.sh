#!/bin/sh
# run.sh BUILD SANITIZE: every suite against what was built in BUILD: unit binaries, fuzz corpora, then pytest on a
# throw-away PostgreSQL (or the one ASSAY_DATABASE_URL names). The last line is "N passed, N failed, N skipped".
set -eu
cd "$(dirname "$0")/.."
build=$1
sanitize=${2:-0}
scratch=$(mktemp -d)
passed=0 failed=0 skipped=0
finish() {
    [ ! -d "$scratch/pg" ] || docker/cluster.sh destroy "$scratch/pg" || true
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 1' INT TERM

# FAISS is not instrumented, so container annotations of std::vector would be wrong; what OpenMP and OpenBLAS keep until
# the end of the process is listed in lsan.supp.
export ASAN_OPTIONS="detect_container_overflow=0:detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0:${LSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp:${TSAN_OPTIONS:-}"
export OMP_WAIT_POLICY=passive
if [ -n "${ASSAY_DATABASE_URL:-}" ]; then
    export ASSAY_TEST_DATABASE_URL="$ASSAY_DATABASE_URL"
    unset ASSAY_DATABASE_URL # the servers under test get databases of their own in it
else
    chmod 711 "$scratch" # the cluster's user passes through
    ASSAY_TEST_DATABASE_URL=$(docker/cluster.sh start "$scratch/pg")
    export ASSAY_TEST_DATABASE_URL
fi
[ "$sanitize" = 0 ] || export ASSAY_TEST_PATIENCE="${ASSAY_TEST_PATIENCE:-4}" # instrumented code is slower

# Adds the TAP lines in $1; a program that ended badly without saying so counts as one failure.
add_tap() {
    p=$(grep '^ok ' "$1" | grep -vc '# SKIP' || true)
    s=$(grep -c '^\(not \)\?ok .*# SKIP' "$1" || true) # cmocka writes "not ok" for a skipped test
    f=$(grep '^not ok ' "$1" | grep -vc '# SKIP' || true)
    [ "$2" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + p)) skipped=$((skipped + s)) failed=$((failed + f))
    if [ "$f" -gt 0 ]; then
        echo "FAILED $3 (status $2)"
        grep -v '^ok ' "$1" || true
    else
        echo "ok     $3 ($p passed, $s skipped)"
    fi
}

for source in tests/unit/test_*.c; do
    name=$(basename "$source" .c)
    status=0
    CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$build/tests/unit/$name" >"$scratch/tap" 2>&1 || status=$?
    add_tap "$scratch/tap" "$status" "$name"
done

for source in tests/fuzz/fuzz_*.c; do
    [ -e "$source" ] || continue
    name=$(basename "$source" .c)
    if timeout 300 "$build/tests/fuzz/$name" "tests/fuzz/corpus/${name#fuzz_}" >"$scratch/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok     $name ($(tail -n 1 "$scratch/log"))"
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        cat "$scratch/log"
    fi
done

# Adds the counts of pytest's last line, such as "3 failed, 41 passed, 2 skipped, 1 error in 12.3s".
count() { sed -n "s/.*[^0-9]\([0-9][0-9]*\) $1.*/\1/p" "$scratch/summary" | tail -n 1 | grep . || echo 0; }
for suite in integration faults; do
    ls tests/$suite/test_*.py >/dev/null 2>&1 || continue
    status=0
    ASSAYD="$PWD/$build/assayd" ASSAY_SANITIZE="$sanitize" PYTHONDONTWRITEBYTECODE=1 \
        timeout -k 30 "${PYTEST_SECONDS:-1200}" /usr/bin/python3 -m pytest -p no:cacheprovider -q -rfEs --color=no \
        --durations=5 "tests/$suite" >"$scratch/pytest" 2>&1 || status=$?
    cat "$scratch/pytest"
    printf ' ' >"$scratch/summary"
    tail -n 1 "$scratch/pytest" >>"$scratch/summary"
    f=$(($(count failed) + $(count error)))
    [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    passed=$((passed + $(count passed))) failed=$((failed + f)) skipped=$((skipped + $(count skipped)))
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
