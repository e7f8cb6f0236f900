#!/bin/sh
# The main job on this machine: `make run`. Starts a private PostgreSQL cluster and assayd under .assay/ (or uses
# ASSAY_DATABASE_URL), feeds the PostgreSQL manual, shows what the service does, and leaves it running.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
state=$root/.assay
listen=${ASSAY_LISTEN:-127.0.0.1:8080}
umask 077
mkdir -p "$state"
chmod 711 "$state" # when root runs this, PostgreSQL runs as a user of its own, which passes through here

if [ -n "${ASSAY_DATABASE_URL:-}" ]; then
    database=$ASSAY_DATABASE_URL
else
    database=$("$root/docker/cluster.sh" start "$state/pg")
fi

# The address to call: a wildcard address is reached through loopback.
host=${listen%:*}
port=${listen##*:}
case $host in
'' | 0.0.0.0 | '*') host=127.0.0.1 ;;
'[::]') host='[::1]' ;;
esac
url=http://$host:$port

running() {
    [ -s "$state/assayd.pid" ] && kill -0 "$(cat "$state/assayd.pid")" 2>/dev/null
}

if running && ! curl -fsS -o /dev/null "$url/healthz" 2>/dev/null; then
    echo "assayd runs (pid $(cat "$state/assayd.pid")) but not at $url; stopping it first"
    "$root/docker/stop.sh" server
fi
if running && [ "$root/build/assayd" -nt "$state/assayd.pid" ]; then
    echo "the binary is newer than the running server; restarting it"
    "$root/docker/stop.sh" server
fi
if ! running; then
    if curl -fsS -o /dev/null "$url/healthz" 2>/dev/null; then
        echo "something else answers at $url already; choose another address with ASSAY_LISTEN" >&2
        exit 1
    fi
    ASSAY_DATABASE_URL=$database ASSAY_LISTEN=$listen ASSAY_DATA_DIR=$state/data \
        ASSAY_MIGRATIONS_DIR=$root/migrations ASSAY_OPENAPI_FILE=$root/build/openapi.json \
        ASSAY_PID_FILE=$state/assayd.pid ASSAY_LOG_FORMAT=json \
        setsid "$root/build/assayd" >>"$state/assayd.log" 2>&1 </dev/null &
    tries=0
    until curl -fsS -o /dev/null "$url/readyz" 2>/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || { [ $tries -gt 20 ] && ! running; }; then
            echo "assayd did not become ready; the end of $state/assayd.log:" >&2
            tail -n 5 "$state/assayd.log" >&2
            exit 1
        fi
        sleep 0.1
    done
fi

key_file=$state/data/admin.key
# Written in one step, so that nobody ever reads half of it.
printf 'ASSAY_URL=%s\nASSAY_KEY=%s\n' "$url" "$(cat "$key_file")" >"$state/run.env.new"
mv "$state/run.env.new" "$state/run.env"

ASSAY_URL=$url ASSAY_KEY=$(cat "$key_file") python3 "$root/docker/demo.py"

cat <<TXT

assayd is running at $url (log: .assay/assayd.log)
the admin key is in ${key_file#"$root"/}; both are in .assay/run.env:  . .assay/run.env
stop it with: make stop
TXT
