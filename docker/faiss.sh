#!/bin/sh
# faiss.sh DIR: prints the prefix of a FAISS with its C API: FAISS_PREFIX if set, else the system's (Debian 13's
# libfaiss-dev), else that same package unpacked under DIR, which changes nothing on the system and is done once.
set -eu
[ $# = 1 ] || { echo "usage: faiss.sh DIR" >&2; exit 2; }
say() { printf 'faiss: %s\n' "$*" >&2; }
has_c_api() { for lib in "$1"/lib/libfaiss_c.* "$1"/lib/*/libfaiss_c.*; do [ ! -e "$lib" ] || return 0; done; return 1; }

if [ -n "${FAISS_PREFIX:-}" ]; then
    has_c_api "$FAISS_PREFIX" || { say "FAISS_PREFIX=$FAISS_PREFIX has no lib/libfaiss_c.a"; exit 1; }
    echo "$FAISS_PREFIX"
    exit
fi
if has_c_api /usr; then
    echo /usr
    exit
fi

mkdir -p "$1"
dir=$(cd "$1" && pwd)
if [ -e "$dir/complete" ] && has_c_api "$dir/unpacked/usr"; then
    echo "$dir/unpacked/usr"
    exit
fi
command -v apt-get >/dev/null || { say "no apt-get here: build FAISS with FAISS_ENABLE_C_API=ON and set FAISS_PREFIX"; exit 1; }

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# The mirror this machine takes Debian's own packages from.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$codename" '$3 == "main" && ($2 == codename || $2 ~ /^(old)*stable$/) { print $1; exit }')
[ -n "$mirror" ] || { say "no Debian mirror among the apt sources; set FAISS_PREFIX"; exit 1; }

say "unpacking Debian 13's libfaiss-dev into $dir"
rm -rf "$dir/apt" "$dir/unpacked"
mkdir -p "$dir/apt/etc" "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial"
: >"$dir/apt/status"
echo "deb [signed-by=$keyring] $mirror trixie main" >"$dir/apt/etc/sources.list"
private_apt() {
    # Languages=none leaves the translated descriptions out of the download.
    apt-get -qq -o Dir::Etc::SourceList="$dir/apt/etc/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$dir/apt/state" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 "$@" >>"$dir/apt/log" 2>&1 ||
        { cat "$dir/apt/log" >&2; return 1; }
}
private_apt update
(cd "$dir/apt" && private_apt download libfaiss-dev)
dpkg -x "$dir"/apt/libfaiss-dev_*.deb "$dir/unpacked"
rm -rf "$dir/apt"
has_c_api "$dir/unpacked/usr" || { say "the package has no libfaiss_c.a; set FAISS_PREFIX"; exit 1; }
touch "$dir/complete"
echo "$dir/unpacked/usr"
