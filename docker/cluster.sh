#!/bin/sh
# cluster.sh start|stop|status|url|destroy DIR [fast|immediate]: a private PostgreSQL cluster.
#
# start is idempotent and prints a libpq URL. The cluster belongs to an unprivileged user: the caller, or `postgres` when
# the caller is root, since PostgreSQL refuses to run as root. It listens on a Unix socket only, in a directory of mode
# 0700; whoever cannot enter it cannot connect, so the socket needs no password ("trust") and no password needs a file.
# Root may enter, so assayd run by root reaches a cluster that belongs to `postgres`.
#
# Everything lives in DIR, but for two cases, both recorded in DIR/cluster.env and removed by destroy: a DIR which that
# user cannot reach (below /root, for instance) puts the data under /var/lib/assay-dev, and a DIR too long for a socket's
# path (107 bytes) puts the socket in /tmp.
set -eu

usage() { echo "usage: cluster.sh start|stop|status|url|destroy DIR [fast|immediate]" >&2; exit 2; }
say() { printf 'cluster: %s\n' "$*" >&2; }
[ $# -ge 2 ] || usage
command=$1
mode=${3:-fast}
if [ "$command" = start ]; then
    (umask 022 && mkdir -p "$2")
elif [ ! -d "$2" ]; then
    say "there is no cluster in $2"
    exit 3
fi
dir=$(cd "$2" && pwd -P)
state=$dir/cluster.env

user=$(id -un)
if [ "$(id -u)" = 0 ]; then
    user=postgres
    getent passwd postgres >/dev/null || user=nobody
fi
# Runs as the cluster's user, from a directory everyone may be in, and without the lock's descriptor.
as_user() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && exec runuser -u "$user" -- "$@" 9>&-)
    else
        (cd / && exec "$@" 9>&-)
    fi
}

# Where things are: home (data and log) and socket. A cluster inside DIR moves with it.
locate() {
    home=$dir/postgres socket=""
    if [ -e "$state" ]; then
        . "$state"
    elif [ "$command" != start ]; then
        say "there is no cluster in $dir"
        exit 3
    elif [ "$(id -u)" = 0 ] && ! as_user test -x "$dir"; then
        home=/var/lib/assay-dev/$(printf '%s' "$dir" | sha256sum | cut -c 1-16)
        say "$user cannot reach $dir: the data is in $home"
    fi
    if [ ${#home} -le 78 ]; then # "/socket/.s.PGSQL.5432.lock" is to fit as well
        socket=$home/socket
    elif [ -z "$socket" ]; then
        socket=$(mktemp -d /tmp/assay-socket.XXXXXX)
    fi
    [ "$command" = start ] || return 0
    {
        [ "$home" = "$dir/postgres" ] || echo "home=$home"
        [ "$socket" = "$home/socket" ] || echo "socket=$socket"
    } >"$state"
}

# The binaries of the data's own major version, or the newest.
find_binaries() {
    major=$(cat "$home/data/PG_VERSION" 2>/dev/null || true)
    if [ -n "$major" ]; then
        bin=/usr/lib/postgresql/$major/bin
    else
        bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t / -k 5 -n | tail -n 1)
    fi
    [ -x "${bin:-}/postgres" ] || { say "PostgreSQL ${major:-}'s server is not installed (docker/setup.sh demo)"; exit 1; }
}

url() {
    # Only what has a meaning in a URL is encoded.
    encoded=$(printf '%s' "$socket" | sed -e 's/%/%25/g' -e 's/ /%20/g' -e 's/&/%26/g' -e 's/#/%23/g' -e 's/?/%3F/g' -e 's/+/%2B/g')
    echo "postgresql:///assay?host=$encoded&port=5432&user=assay"
}

# The server's process id, if it is alive and this cluster's.
server_pid() {
    pid=$(head -n 1 "$home/data/postmaster.pid" 2>/dev/null || true)
    [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$home/data" ] && echo "$pid"
}

prepare() {
    (umask 022 && mkdir -p "$home/data" "$socket")
    chmod 700 "$home/data" "$socket"
    if [ "$(id -u)" = 0 ]; then
        chown "$user" "$home" "$home/data" "$socket"
    fi
    if [ ! -e "$home/data/PG_VERSION" ]; then
        as_user "$bin/initdb" -D "$home/data" -U assay -E UTF8 --locale=C.UTF-8 --auth-local=trust \
            --auth-host=reject --data-checksums >"$home/initdb.log" 2>&1 ||
            { say "initdb failed:"; cat "$home/initdb.log" >&2; exit 1; }
        echo "include 'assay.conf'" >>"$home/data/postgresql.conf"
    fi
    cat >"$home/data/assay.conf" <<EOT
listen_addresses = ''
unix_socket_directories = '$(printf '%s' "$socket" | sed "s/'/''/g")'
port = 5432
fsync = on
max_connections = 120
shared_buffers = 128MB
max_wal_size = 2GB
log_min_messages = warning
EOT
    chmod 644 "$home/data/assay.conf" # whatever the caller's umask; the folder is closed to others anyway
}

start() {
    find_binaries
    if [ -z "$(server_pid)" ]; then
        prepare
        # Whatever a crash left behind is stale, even when its process id has been given to somebody else by now.
        rm -f "$home/data/postmaster.pid" "$socket/.s.PGSQL.5432" "$socket/.s.PGSQL.5432.lock"
        as_user "$bin/pg_ctl" -s -w -t 60 -D "$home/data" -l "$home/log" start >&2 ||
            { say "the server did not start:"; tail -n 20 "$home/log" >&2; exit 1; }
    fi
    as_user "$bin/psql" -X -h "$socket" -U assay -d postgres -Atc \
        "SELECT 1 FROM pg_database WHERE datname = 'assay'" | grep -q 1 ||
        as_user "$bin/createdb" -h "$socket" -U assay assay
    url
}

stop() {
    [ -n "$(server_pid)" ] || return 0
    find_binaries
    as_user "$bin/pg_ctl" -s -w -t 60 -m "$mode" -D "$home/data" stop
}

exec 9>"$dir/.lock"
flock 9
locate
case $command in
start) start ;;
stop) stop ;;
url) url ;;
status)
    if [ -n "$(server_pid)" ]; then
        url
    else
        echo stopped
        exit 3
    fi
    ;;
destroy)
    mode=immediate
    stop
    rm -rf "$home" "$socket"
    rm -f "$state" "$dir/.lock"
    rmdir /var/lib/assay-dev 2>/dev/null || true
    ;;
*) usage ;;
esac
