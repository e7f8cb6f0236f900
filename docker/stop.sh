#!/bin/sh
# stop.sh [server]: stops what `make run` left running: the server first, so that requests under way can finish, then
# its PostgreSQL, unless only the server is asked for.
set -eu
cd "$(dirname "$0")/.."

pid=$(cat .assay/assayd.pid 2>/dev/null || true)
if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = assayd ]; then
    kill -TERM "$pid"
    waited=0
    while [ -e "/proc/$pid" ] && [ "$waited" -lt 450 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    if [ -e "/proc/$pid" ]; then
        echo "assayd ($pid) has not stopped within 45 seconds" >&2
        exit 1
    fi
    echo "assayd stopped"
else
    echo "assayd is not running"
fi
rm -f .assay/assayd.pid
[ "${1:-}" != server ] || exit 0

for state in .assay/cluster.env .assay/*/cluster.env; do
    [ -e "$state" ] || continue
    docker/cluster.sh stop "$(dirname "$state")"
    echo "PostgreSQL stopped (the data stays in .assay/)"
done
