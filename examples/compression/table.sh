#!/bin/sh
# table.sh CSV - the measurements as a table: MB/s of input, mean of all jobs with the same program, level and size.
set -eu
LC_ALL=C
export LC_ALL
[ $# -eq 1 ] || { echo "usage: table.sh CSV" >&2; exit 2; }
[ -r "$1" ] || { echo "table.sh: $1 cannot be read" >&2; exit 1; }
printf '%-8s %-5s %8s %7s %7s %15s %17s\n' Size Level Program Jobs Ratio 'Compress MB/s' 'Decompress MB/s'
awk -F , '
  NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
  {
    key = $column["bytes"] " " $column["size"] " " $column["level"] " " $column["program"]
    jobs[key]++
    ratio[key] += $column["ratio"]
    bytes = $column["bytes"] / 1000000
    compress[key] += bytes / $column["compress_seconds"]
    decompress[key] += bytes / $column["decompress_seconds"]
  }
  END {
    for (key in jobs) {
      split(key, part, " ")
      n = jobs[key]
      printf "%s %-8s %-5s %8s %7d %7.2f %15.1f %17.1f\n", part[1], part[2], part[3], part[4], n, ratio[key] / n, compress[key] / n, decompress[key] / n
    }
  }
' "$1" | sort -k 1,1n -k 3,3n -k 6,6n | cut -d ' ' -f 2-
