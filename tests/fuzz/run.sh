#!/bin/sh
# run.sh BUILD SECONDS: runs each libFuzzer target for SECONDS. New inputs go to BUILD/corpus, the seeds stay as they
# are; a crash is kept in BUILD and reported.
set -eu
cd "$(dirname "$0")/../.."
build=$1
failed=""
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    mkdir -p "$build/corpus/$name"
    echo "$name"
    "$build/tests/fuzz/$name" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="$build/$name-" "$build/corpus/$name" "tests/fuzz/corpus/${name#fuzz_}" || failed="$failed $name"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
