#!/bin/sh
# measure.sh PROGRAM LEVEL SIZE - one measurement: compresses the first SIZE of the corpus and decompresses it again.
#
#   PROGRAM  gzip, bzip2, xz or zstd, on one core
#   LEVEL    1 to 9
#   SIZE     bytes, or with K or M, e.g. 256K
#
# Each direction is repeated for at least 0.3 s; the mean is printed. It leaves three files in results/ beside this
# script: the measurement (.txt), what was compressed (.gz, ...) and the checksums of both (.sha256).
set -eu
LC_ALL=C
export LC_ALL

die() {
  echo "measure.sh: $*" >&2
  exit 1
}

[ $# -eq 3 ] || die "usage: measure.sh PROGRAM LEVEL SIZE"
program=$1 level=$2 size=$3
options=
case $program in
  gzip) ending=gz ;;
  bzip2) ending=bz2 ;;
  xz) ending=xz options=-T1 ;;
  zstd) ending=zst options="-T1 -q" ;;
  *) die "unknown program: $program" ;;
esac
command -v "$program" >/dev/null 2>&1 || die "$program is not installed on this machine"
case $level in [1-9]) ;; *) die "LEVEL is 1 to 9, not $level" ;; esac
case $size in
  '' | [!0-9]* | *[!0-9KM]* | *[KM]?*) die "SIZE looks like 65536, 64K or 1M, not $size" ;;
  *K) bytes=$((${size%K} * 1024)) ;;
  *M) bytes=$((${size%M} * 1048576)) ;;
  *) bytes=$size ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
jid=${EXPJOB_JID:-0}
name=$program-$level-$size-$jid
[ -r "$here/corpus" ] || die "there is no corpus here: run make-corpus.sh first"
mkdir -p "$here/results"
work=$(mktemp -d "$here/results/.work-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM

head -c "$bytes" "$here/corpus" >"$work/input"
[ "$(($(wc -c <"$work/input")))" -eq "$bytes" ] || die "the corpus is smaller than $size"

# Hundredths of a second since boot: the only clock that every Linux shell can read without starting a program.
now() {
  read -r uptime _ </proc/uptime
  now=${uptime%.*}${uptime#*.}
}

# repeat INPUT OUTPUT WORD... - sets `seconds`, the mean of one run, and `runs`.
repeat() {
  from=$1 to=$2
  shift 2
  runs=0
  now
  start=$now
  while :; do
    "$@" <"$from" >"$to" || die "$* failed with exit code $?"
    runs=$((runs + 1))
    now
    [ $((now - start)) -lt 30 ] || break
  done
  seconds=$(awk "BEGIN { printf \"%.5f\", $((now - start)) / 100 / $runs }")
}

checksum() {
  sha256sum <"$1" | cut -d ' ' -f 1
}

packed=$work/$name.$ending
# shellcheck disable=SC2086 # options are words
repeat "$work/input" "$packed" "$program" $options "-$level" -c
compress_seconds=$seconds compress_runs=$runs
# shellcheck disable=SC2086
repeat "$packed" "$work/output" "$program" $options -d -c
packed_bytes=$(($(wc -c <"$packed")))
input_sha256=$(checksum "$work/input")
roundtrip_sha256=$(checksum "$work/output")

cat >"$work/$name.txt" <<END
jid=$jid
machine=${EXPJOB_MACHINE:-$(uname -n)}
program=$program
version=$("$program" --version </dev/null 2>&1 | awk 'match($0, /[0-9]+\.[0-9]+(\.[0-9]+)*/) { print substr($0, RSTART, RLENGTH); exit }')
level=$level
size=$size
bytes=$bytes
compressed_bytes=$packed_bytes
ratio=$(awk "BEGIN { printf \"%.3f\", $bytes / $packed_bytes }")
compress_seconds=$compress_seconds
compress_runs=$compress_runs
decompress_seconds=$seconds
decompress_runs=$runs
input_sha256=$input_sha256
roundtrip_sha256=$roundtrip_sha256
END
(cd "$work" && sha256sum "$name.txt" "$name.$ending") >"$work/$name.sha256"

# What is printed is in the job's log, the files are its results.
cat "$work/$name.txt" "$work/$name.sha256"
[ "$input_sha256" = "$roundtrip_sha256" ] || die "what came back is not what went in"
mv "$work/$name.txt" "$work/$name.$ending" "$work/$name.sha256" "$here/results"
echo "RESULTS: $here/results/$name."
