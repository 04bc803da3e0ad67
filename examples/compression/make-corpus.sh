#!/bin/sh
# make-corpus.sh [FILE-OR-FOLDER...] - makes the file `corpus` beside this script, the input of every measurement.
# Without arguments it is the text of this repository: its documentation, sources and tests, in the order of their names.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ]; then
  cd "$here/../.."
  set -- README.md docs scripts src test
fi
find "$@" -type f \( -name '*.md' -o -name '*.txt' -o -name '*.ts' -o -name '*.c' -o -name '*.h' \) | sort | while IFS= read -r file; do
  cat -- "$file"
done >"$here/corpus"
bytes=$(($(wc -c <"$here/corpus")))
if [ "$bytes" -eq 0 ]; then
  echo "make-corpus.sh: no text files in $*" >&2
  exit 1
fi
echo "corpus: $bytes bytes, sha256 $(sha256sum <"$here/corpus" | cut -d ' ' -f 1)"
