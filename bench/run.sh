#!/bin/sh
# `make bench`: ingest rate, and search throughput and latency as client and server see them, for the demo corpus (the
# PostgreSQL manual), on an own throw-away cluster with fsync on and the server's defaults; then vector search against
# FAISS in process, for BENCH_VECTORS (100000) generated vectors; 0 leaves that out.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
port=${BENCH_PORT:-18080}
seconds=${BENCH_SECONDS:-5}
vectors=${BENCH_VECTORS:-100000}
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-bench.XXXXXX")
chmod 755 "$work"
server=
given=${ASSAY_DATABASE_URL:-}

finish() {
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null && wait "$server"; } || true
    [ -n "$given" ] || "$root/docker/cluster.sh" stop "$work/pg" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

database=${given:-$("$root/docker/cluster.sh" start "$work/pg")}
mkdir -p "$root/build/bench"
cc -std=c17 -D_GNU_SOURCE -O2 -o "$root/build/bench/load" "$root/bench/load.c"

export ASSAY_DATABASE_URL="$database" ASSAY_LISTEN="127.0.0.1:$port" ASSAY_DATA_DIR="$work/data" \
    ASSAY_MIGRATIONS_DIR="$root/migrations" ASSAY_OPENAPI_FILE="$root/build/openapi.json" ASSAY_LOG_LEVEL=warn
"$root/build/assayd" 2>"$work/log" &
server=$!
tries=0
until curl -fsS -o /dev/null "http://127.0.0.1:$port/readyz" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
ASSAY_KEY=$(cat "$work/data/admin.key")
ASSAY_URL=http://127.0.0.1:$port
export ASSAY_KEY ASSAY_URL
python3 "$root/bench/report.py" --load "$root/build/bench/load" --port "$port" --seconds "$seconds" --work "$work"

# Judged collections, where a checkout has them beside it.
data=${BENCH_COLLECTIONS:-$root/../shared/data}
set --
for folder in "$data"/*/; do
    [ ! -f "$folder/queries.jsonl" ] || set -- "$@" "$folder"
done
if [ $# -gt 0 ]; then
    echo
    python3 "$root/bench/finding/finding.py" --queries "${BENCH_QUERIES:-2000}" "$@"
else
    echo "finding: skipped, no judged collections in $data (BENCH_COLLECTIONS names another folder)"
fi

kill -TERM "$server" && wait "$server" || true
server=
if [ "$vectors" -gt 0 ]; then
    mkdir "$work/vectors"
    python3 "$root/bench/vectors.py" --assayd "$root/build/assayd" --load "$root/build/bench/load" \
        --vectors "$root/build/bench/vectors" --port "$port" --seconds "$seconds" --work "$work" \
        --dir "$work/vectors" --rows "$vectors"
fi
