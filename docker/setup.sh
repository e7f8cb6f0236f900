#!/bin/sh
# Installs what is missing of the sections of packages.txt given as arguments (build run demo test lint, or all), as
# root or through sudo. Does nothing, quickly, when everything is there.
set -eu
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*" >&2; }

# The second half, as root: "setup.sh --install package...".
install_as_root() {
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d
    cluster=/etc/postgresql-common/createcluster.d/assay-setup.conf
    fresh=""
    made_policy=""
    made_cluster=""
    trap 'rm -f $made_policy $made_cluster' EXIT INT TERM HUP

    # The packages' daemons are for private use here: keep them from starting while they are installed ...
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        made_policy=$policy
        chmod 755 "$policy"
    fi
    # ... from making a database cluster nobody asked for ...
    if ! dpkg-query -W -f '${db:Status-Status}' postgresql-common 2>/dev/null | grep -qx installed; then
        mkdir -p "${cluster%/*}"
        printf 'create_main_cluster = false\n' >"$cluster"
        made_cluster=$cluster
        say "PostgreSQL is installed without its default cluster (pg_createcluster makes one when you want it)"
    fi
    dpkg-query -W -f '${db:Status-Status}' prometheus 2>/dev/null | grep -qx installed || fresh=prometheus

    apt-get -qq -o DPkg::Lock::Timeout=300 update
    apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >/dev/null

    # ... and from starting at the next boot.
    if [ -n "$fresh" ] && [ -d /run/systemd/system ]; then
        systemctl --quiet disable prometheus.service 2>/dev/null || true
    fi
}

if [ "${1:-}" = --install ]; then
    shift
    install_as_root "$@"
    exit
fi

[ $# -gt 0 ] || set -- all
command -v dpkg-query >/dev/null || { say "this needs Debian 12 or 13 (see docker/packages.txt for the list)"; exit 1; }

wanted=$(awk -v sections=" $* " '
    { sub(/[ \t]*#.*/, "") }
    /^\[/ { gsub(/[][ \t]/, ""); on = index(sections, " all ") || index(sections, " " $0 " "); next }
    on && NF && !seen[$0]++ { print }' packages.txt)
installed=$(dpkg-query -W -f '${Package}\t${db:Status-Status}\t${Version}\n' | awk '$2 == "installed" { print $1, $3 }')

missing=""
while read -r name op version; do
    have=$(printf '%s\n' "$installed" | awk -v name="$name" '$1 == name { print $2; exit }')
    if [ -z "$op" ]; then
        [ -n "$have" ] || missing="$missing $name"
    elif [ -z "$have" ] || dpkg --compare-versions "$have" lt "$version"; then
        conditional="${conditional:-}$name $version
"
    fi
done <<EOT
$wanted
EOT

# Conditional packages depend on what the suite offers. On a machine without package lists that is only known after an
# update, which the installation below does anyway, so they are looked at last.
candidate() { LC_ALL=C apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'; }

run_as_root() {
    if [ "$(id -u)" = 0 ]; then
        sh ./setup.sh "$@"
    elif command -v sudo >/dev/null; then
        sudo sh ./setup.sh "$@"
    else
        say "packages are missing, and this is neither root nor is sudo there. As root: apt-get install" "$missing"
        exit 1
    fi
}

if [ -n "$missing" ]; then
    say "installing$missing"
    # shellcheck disable=SC2086
    run_as_root --install $missing
fi
missing=""
while read -r name version; do
    [ -n "$name" ] || continue
    offered=$(candidate "$name")
    case $offered in "" | "(none)") continue ;; esac
    dpkg --compare-versions "$offered" ge "$version" && missing="$missing $name"
done <<EOT
${conditional:-}
EOT
if [ -n "$missing" ]; then
    say "installing$missing"
    # shellcheck disable=SC2086
    run_as_root --install $missing
fi
