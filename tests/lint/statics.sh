#!/bin/sh
# statics.sh OBJDIR: no object of ours has mutable static data (.data, .bss, thread-local). Constant tables with
# addresses in them are in .data.rel.ro, which is read-only once the program runs.
#
# Allowed: base/log.c's log_state and log_request. The log stands for stderr, of which a process has one; its level is
# atomic, and the request id is a thread's own.
set -eu
[ $# = 1 ] || { echo "usage: statics.sh OBJDIR" >&2; exit 2; }
status=0
for object in $(find "$1" -name '*.o' ! -path '*/tests/*'); do
    source=${object#"$1"/}
    found=$(objdump -t "$object" | awk -v source="${source%.o}" '
        NF >= 5 && $(NF - 2) ~ /^(\.data|\.bss|\.tdata|\.tbss|COMMON)/ && $(NF - 2) !~ /^\.data\.rel\.ro/ {
            section = $(NF - 2); size = $(NF - 1); name = $NF
            if (size ~ /^0+$/ || name == section) next
            if (source == "base/log" && (name == "log_state" || name == "log_request")) next
            printf "%s.c: mutable static %s in %s\n", source, name, section
        }')
    [ -z "$found" ] || { printf '%s\n' "$found"; status=1; }
done
exit $status
