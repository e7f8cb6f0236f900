#!/bin/sh
# `make bench`: every bar of docs/performance.md, each as a ratio within this run, and a table of them at the end. It
# works on a throw-away cluster with fsync on (or the one that ASSAY_DATABASE_URL names) and with the server's defaults.
#
#   BENCH_ONLY         sections, by commas: demo finding ingest vectors pgvector quarantine filters restart memory
#   BENCH_VECTORS      vectors of 384 floats (100000); 0 leaves the sections about them out
#   BENCH_SECONDS      of one measurement (1); BENCH_RUNS measurements where their spread matters (10)
#   BENCH_INGEST_CHUNKS  of each corpus of the section ingest (100000); 0 leaves it out
#   BENCH_MILLION=1    a million vectors too, which takes long; BENCH_PRECISION: at that precision
#   BENCH_COLLECTIONS  folder of judged collections; BENCH_QUERIES of each at most about so many (2000, 0: all)
#   BENCH_PORT         where the servers listen (18080)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/build/bench
port=${BENCH_PORT:-18080}
seconds=${BENCH_SECONDS:-1}
vectors=${BENCH_VECTORS:-100000}
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-bench.XXXXXX")
chmod 755 "$work"
given=${ASSAY_DATABASE_URL:-}

drop_databases() {
    psql -Xq "$given" >/dev/null <<EOT
SELECT format('DROP DATABASE %I', datname) FROM pg_database WHERE datname LIKE 'bench\\_%\\_$$' \\gexec
EOT
}

finish() {
    [ -z "$given" ] || drop_databases || true
    [ -n "$given" ] || "$root/docker/cluster.sh" stop "$work/pg" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

wanted() {
    [ -z "${BENCH_ONLY:-}" ] || case ",$BENCH_ONLY," in *,"$1",*) ;; *) return 1 ;; esac
}

# A section that fails says so and the others go on; what the bars say is no failure.
failed=
section() {
    "$@" || failed="$failed
  $*"
}

BENCH_VERDICTS=$work/verdicts
BENCH_ID=$$
export BENCH_VERDICTS BENCH_ID PYTHONUNBUFFERED=1
python3 "$root/bench/common.py" machine
database=${given:-$("$root/docker/cluster.sh" start "$work/pg")}
export ASSAY_DATABASE_URL="$database" ASSAY_MIGRATIONS_DIR="$root/migrations" \
    ASSAY_OPENAPI_FILE="$root/build/openapi.json" ASSAY_LOG_LEVEL=warn
set -- --assayd "$root/build/assayd" --load "$bin/load" --port "$port" --work "$work" --seconds "$seconds"

if wanted demo; then
    section python3 "$root/bench/common.py" serve "$@" --name demo -- \
        python3 "$root/bench/report.py" --load "$bin/load" --port "$port" --seconds "$seconds" --work "$work"
fi
if wanted finding; then
    data=${BENCH_COLLECTIONS:-$root/../shared/data} folders=
    for folder in "$data"/*/; do
        [ ! -f "$folder/queries.jsonl" ] || folders="$folders $folder"
    done
    if [ -n "$folders" ]; then
        # shellcheck disable=SC2086
        section python3 "$root/bench/common.py" serve "$@" --name finding -- \
            python3 "$root/bench/finding/finding.py" --queries "${BENCH_QUERIES:-2000}" $folders
    else
        python3 "$root/bench/common.py" skip 8 "nDCG@10 to plain BM25" \
            "no judged collections in $data (BENCH_COLLECTIONS names another folder)"
    fi
fi
if wanted ingest && [ -e "$root/bench/ingest.py" ]; then
    section python3 "$root/bench/ingest.py" "$@" --vectors "$bin/vectors"
fi
sections=
for name in vectors pgvector quarantine filters restart memory; do
    ! wanted "$name" || sections="$sections${sections:+,}$name"
done
[ "${BENCH_MILLION:-0}" != 1 ] || sections="$sections${sections:+,}million"
if [ -n "$sections" ] && [ "$vectors" -gt 0 ]; then
    section python3 "$root/bench/vectors.py" "$@" --pgload "$bin/pgload" --vectors "$bin/vectors" \
        --dir "$work/vectors" --rows "$vectors" --runs "${BENCH_RUNS:-10}" --sections "$sections"
fi
python3 "$root/bench/common.py" table
[ -z "$failed" ] || { echo "bench: did not finish:$failed" >&2; exit 1; }
