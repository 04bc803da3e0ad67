/**
 * Owns the POSIX sh scripts that the copier runs on a machine: list, hash and stream, and all three in one. They
 * are constants: whatever varies follows on standard input, in lines of `encodeWord` or as names that end in NUL.
 * They need find, xargs, cat, tail, cut and one of openssl, sha256sum or shasum, of GNU or busybox; GNU find's -printf is used
 * where it exists. Names reach the tools absolute or with `./` before them, so none looks like an option.
 */

/** Safe characters as they are, every other byte as `\0ooo`, which printf's %b turns back. Never empty lines' worth of meaning: "" stays "". */
export function encodeWord(word: string): string {
  let text = "";
  for (const byte of Buffer.from(word, "utf8")) {
    const plain =
      (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte === 47 || byte === 46 || byte === 95;
    text += plain ? String.fromCharCode(byte) : `\\0${byte.toString(8).padStart(3, "0")}`;
  }
  return text;
}

/** Reads the start directory and goes there; an empty one is the login home. */
const BEGIN = `
LC_ALL=C; export LC_ALL; unset CDPATH
decode() { value=$(printf '%bx' "$1"); value=\${value%x}; }
IFS= read -r line || exit 90
decode "$line"
if [ -n "$value" ]; then cd -- "$value" 2>/dev/null || started=no; else cd 2>/dev/null || started=no; fi
`;

/** Reads no more of standard input than its lines. */
const LIST = `
if [ "$started" = no ]; then printf 'U 0 %s\\0E 0 1\\0' "$value"; exit 0; fi
if find / -maxdepth 0 -printf '' 2>/dev/null; then
  walk='[ $# -gt 0 ] || exit 0; exec find "$@" -printf "%y %s %p\\0"'
else
  each_folder='for f; do printf "d 0 %s\\0" "$f"; done'
  each_file='sizes=$(stat -c %s -- "$@" 2>/dev/null) || sizes=
    if [ -n "$sizes" ]; then for s in $sizes; do printf "f %s %s\\0" "$s" "$1"; shift; done
    else for f; do s=$(stat -c %s -- "$f" 2>/dev/null || wc -c <"$f") && [ -n "$s" ] && printf "f %s %s\\0" $s "$f"; done; fi'
  each_other='for f; do t=b; [ -c "$f" ] && t=c; [ -p "$f" ] && t=p; [ -S "$f" ] && t=s; [ -L "$f" ] && t=l; printf "%s 0 %s\\0" $t "$f"; done'
  export each_folder each_file each_other
  walk='[ $# -gt 0 ] || exit 0
    find "$@" -type d -print0 | xargs -0 sh -c "$each_folder" sh
    find "$@" -type f -print0 | xargs -0 sh -c "$each_file" sh
    find "$@" ! -type d ! -type f -print0 | xargs -0 sh -c "$each_other" sh
    exec find "$@" >/dev/null'
fi
matches() {
  for f in "$folder$rest"* "$@"; do
    case "\${f#"$folder"}" in .|..) continue;; esac
    [ -e "$f" ] || [ -L "$f" ] || continue
    case "$f" in "$folder$rest"*) printf '%s\\0' "$f";; esac
  done
}
status=0
index=0
while IFS= read -r line && [ "$line" != . ]; do
  decode "$line"; folder=$value
  IFS= read -r line || exit 90
  decode "$line"; rest=$value
  printf 'P %s -\\0' "$index"; index=$((index + 1))
  if [ -d "$folder" ] && ! [ -r "$folder" ]; then printf 'U 0 %s\\0' "$folder"; continue; fi
  if [ -n "$rest" ]; then matches; else matches "$folder".[!.]* "$folder"..?*; fi | xargs -0 sh -c "$walk" sh || status=1
done
printf 'E 0 %s\\0' "$status"
`;

/**
 * In: start directory, then two lines a prefix: its folder (with the slash at its end) and the rest; the end, or a dot.
 * Out, each record ended by NUL: \`P <index> -\`, then \`<type> <bytes> <path>\` for all that lies under the
 * prefix (type as find's %y: f, d, l, p, s, b, c), \`U 0 <folder>\` for a folder that may not be read, and at
 * the end \`E 0 <status>\`, 0 when every folder could be read to its end.
 */
export const LIST_SCRIPT = `${BEGIN}${LIST}`;

/** What hashes, and what a batch of names is hashed with. */
const FIND_TOOL = `
tool=
for t in 'openssl dgst -sha256 -r' sha256sum 'shasum -a 256'; do
  case "$($t </dev/null 2>/dev/null)" in
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855*) tool=$t; break;;
  esac
done
newline='
'
export tool newline
`;
const BATCH = 2048;
const HASH_BATCH = `
  case "$*" in
    *"$newline"*|*\\\\*) sums=;;
    *) sums=$($tool "$@" 2>/dev/null) || sums=;;
  esac
  if [ -n "$sums" ]; then printf "%s\\n" "$sums" | cut -c1-64
  else
    for f; do
      if s=$({ $tool <"$f"; } 2>/dev/null) && [ -n "$s" ]; then printf "%s\\n" "\${s%% *}"
      elif [ -e "$f" ]; then printf "%s\\n" -
      else printf "!\\n"; fi
    done
  fi`;

/**
 * In: start directory, then names that end in NUL. Out, a line each, in the same order: 64 hexadecimal
 * digits, \`-\` (may not be read) or \`!\` (gone); then \`end\`. Without a tool that hashes: \`none\`. openssl comes
 * first because it uses the processor's own instructions, which sha256sum often does not.
 */
export const HASH_SCRIPT = `${BEGIN}
if [ "$started" = no ]; then exit 91; fi
${FIND_TOOL}
if [ -z "$tool" ]; then printf 'none\\n'; exit 0; fi
xargs -0 -n ${BATCH} sh -c '[ $# -gt 0 ] || exit 0
${HASH_BATCH}' sh
printf 'end\\n'
`;

/**
 * In: start directory; a line \`<offset> <file>\`, offset counted from 1, or \`0 \`; then names that end in NUL.
 * Out: the rest of that file, then the other files, one after the other, nothing in between.
 */
export const STREAM_SCRIPT = `${BEGIN}
if [ "$started" = no ]; then exit 91; fi
IFS=' ' read -r offset line || exit 90
if [ "$offset" -gt 0 ]; then decode "$line"; tail -c "+$offset" -- "$value"; fi
exec xargs -0 sh -c '[ $# -gt 0 ] || exit 0; exec cat -- "$@"' sh
`;

/**
 * The three in one, for a machine where each command costs a login shell. In: as LIST_SCRIPT, a dot for the end; then,
 * when the listing has been looked at, names that end in NUL. Out: the listing, then the files one after the other; the
 * hashes, as HASH_SCRIPT gives them, on standard error. A batch of names is hashed while it is sent.
 */
export const VISIT_SCRIPT = `${BEGIN}
{ ${LIST} } 2>/dev/null
${FIND_TOOL}
IFS= read -r line || exit 0
if [ -z "$tool" ]; then printf 'none\\n' >&2; exit 0; fi
xargs -0 -n ${BATCH} sh -c '[ $# -gt 0 ] || exit 0
  { ${HASH_BATCH}
  } >&2 2>/dev/null &
  cat -- "$@" 2>/dev/null
  wait' sh
printf 'end\\n' >&2
`;
