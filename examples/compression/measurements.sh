#!/bin/sh
# measurements.sh FOLDER - all measurements in a folder of results as one CSV, a row each.
set -eu
LC_ALL=C
export LC_ALL
[ $# -eq 1 ] || { echo "usage: measurements.sh FOLDER" >&2; exit 2; }
set -- "$1"/*-*-*-*.txt
[ -e "$1" ] || { echo "measurements.sh: there are no measurements in ${1%/*}" >&2; exit 1; }
awk -F = '
  BEGIN {
    columns = "jid program version level size bytes compressed_bytes ratio compress_seconds decompress_seconds machine"
    count = split(columns, names, " ")
    gsub(" ", ",", columns)
    print columns
  }
  FNR == 1 && NR > 1 { flush() }
  { value[$1] = substr($0, length($1) + 2) }
  END { flush() }
  function flush(   line, i) {
    for (i = 1; i <= count; i++) line = line (i > 1 ? "," : "") value[names[i]]
    print line
    split("", value)
  }
' "$@" | { IFS= read -r header && echo "$header" && sort -t , -k 1,1n; }
