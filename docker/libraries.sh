#!/bin/sh
# libraries.sh BINARY: the Debian packages that own the shared libraries BINARY is linked with, one a line; what a
# container needs beside packages.txt's [run].
set -eu
ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | while read -r library; do
    file=$(readlink -f "$library")
    # Packages record the path before or after the merge of /lib into /usr/lib.
    dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}"
done | cut -d : -f 1 | sort -u
