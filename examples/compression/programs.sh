#!/bin/sh
# programs.sh - which compression programs does this machine have? Prints them with commas between, as a matrix takes
# them; those that are missing are said on standard error.
set -u
found=
for program in gzip bzip2 xz zstd; do
  if command -v "$program" >/dev/null 2>&1; then
    found=${found:+$found,}$program
  else
    echo "$program is not installed here" >&2
  fi
done
if [ -z "$found" ]; then
  echo "programs.sh: install at least one of them" >&2
  exit 1
fi
echo "$found"
