#!/bin/sh
# Dependencies go one way: server, handlers -> ingest, index, store, quality, outbound -> base. A library is known to
# one folder only, and what is to be pure does no I/O and reads no clock.
set -eu
cd "$(dirname "$0")/../.."
failed=0

# One exception: the row types that store reads and index applies (a change, a chunk's state) stand in index/vindex.h,
# a header without any library in it, so that they are not copied field by field between two equal structs.
allowed='^store/[a-z_]*\.[ch]:[0-9]*:#include "index/vindex\.h"'

# complain FOLDER WHY PATTERN: no source of the folder may have a line that matches.
complain() {
    found=$(grep -nE "$3" "$1"/*.c "$1"/*.h "$1"/*.cpp "$1"/*.cc 2>/dev/null | grep -v "$allowed" || true)
    [ -z "$found" ] && return
    printf '%s\n' "$found" | sed "s|\$|    <- $2|"
    failed=1
}

# Folders a folder may include, beside itself.
may_include() {
    others=$(printf '%s' "base store ingest index quality outbound server handlers tests" | tr ' ' '\n' |
        grep -vxE "$(printf '%s' "$1 $2" | tr ' ' '|')" | tr '\n' '|')
    complain "$1" "$1 may include only: $1 $2" "^[[:space:]]*#[[:space:]]*include[[:space:]]+\"(${others%|})/"
    complain "$1" "include from the root of the repository" '^[[:space:]]*#[[:space:]]*include[[:space:]]+"(\.|[^/]*")'
}
may_include base ""
for folder in store ingest index quality outbound; do
    may_include $folder base
done
may_include handlers "base store ingest index quality outbound server"
may_include server "base store ingest index quality outbound handlers"

only_in() {
    for folder in base store ingest index quality outbound server handlers; do
        [ "$folder" = "$1" ] ||
            complain $folder "only $1 includes $2" "^[[:space:]]*#[[:space:]]*include[[:space:]]+[<\"]$3"
    done
}
only_in server microhttpd.h 'microhttpd\.h'
only_in store libpq 'libpq|postgresql/|pq-'
only_in index FAISS 'faiss/'
only_in outbound libcurl 'curl/'

for folder in quality ingest; do
    complain $folder "$folder is pure" \
        '\b(clock_now_us|clock_mono_us|clock_mono_ns|clock_gettime|gettimeofday|time|fopen|fdopen|open|openat|socket|connect|popen|fork|execv[a-z]*|posix_spawnp?|getenv|pthread_[a-z_]+|digest_random|uuid_new)\('
    complain $folder "$folder is pure" '#[[:space:]]*include[[:space:]]+<(unistd|fcntl|time|sys/socket|pthread|spawn)\.h>'
done
complain handlers "no SQL in handlers" '"[[:space:]]*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH) '

exit $failed
