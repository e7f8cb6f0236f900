#!/bin/sh
# Calls and habits that are not to come in: unbounded string functions, malloc outside base/, functions over 70 and
# files over 600 lines, unfinished work.
set -eu
cd "$(dirname "$0")/../.."
status=0
sources=$(ls base/*.[ch] store/*.[ch] ingest/*.[ch] index/*.[ch] quality/*.[ch] outbound/*.[ch] server/*.[ch] \
    handlers/*.[ch] index/*.cpp index/*.cc ingest/*.cpp ingest/*.cc tests/unit/*.[ch] tests/fuzz/*.[ch] 2>/dev/null || true)

for file in $sources; do
    case $file in base/arena.c | tests/*) allocators="" ;; *) allocators="malloc|calloc|realloc|strdup|strndup|" ;; esac
    case $file in tests/*) long=900 ;; *) long=600 ;; esac
    awk -v file="$file" -v long="$long" \
        -v banned="(^|[^a-zA-Z0-9_.>])(${allocators}strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strtok|atoi|atol|atof|rand|srand|alloca|system|popen|mktemp|tmpnam)[[:space:]]*\\\\(" '
        function complain(what) { printf "%s:%d: %s\n", file, FNR, what; bad = 1 }
        {
            code = $0
            # Comments and strings are not code; comments over several lines begin with " *" or "/*".
            gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
            sub(/\/\/.*/, "", code)
            gsub(/\/\*([^*]|\*[^\/])*\*\//, "", code)
            if (in_comment) { if (code ~ /\*\//) { sub(/.*\*\//, "", code); in_comment = 0 } else code = "" }
            if (code ~ /\/\*/) { sub(/\/\*.*/, "", code); in_comment = 1 }
        }
        code ~ banned { complain("banned call: " code) }
        /TODO|FIXME|(^|[^X])XXX([^X]|$)/ { complain("unfinished work belongs in an issue") }
        /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start - 1 > 70) complain("function of " FNR - start - 1 " lines (70 at most)"); start = 0 }
        END { if (FNR > long) complain("file of " FNR " lines (" long " at most)"); exit bad }' "$file" || status=1
done
exit $status
