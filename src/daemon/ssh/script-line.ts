/**
 * How a script travels: not as an argument, but as the first line of standard input of a constant command, which
 * reads and evaluates it. Works from any login shell that knows `exec` and single quotes (sh, bash, dash, zsh, fish, csh).
 * The script begins by printing a nonce on both outputs: what came before it is noise of the login shell.
 */

/** The whole of what a machine is asked to execute, ever. */
export const READER_COMMAND = `exec /bin/sh -c 'IFS= read -r s; eval "$s"'`;

/** The argument of `/bin/sh -c` in it, for a shell that is started directly. */
export const READER_SCRIPT = 'IFS= read -r s; eval "$s"';

export interface ScriptLine {
  /** One line of ASCII, with its newline. */
  readonly line: string;
  /** The bytes that end the noise, on standard output and on standard error. */
  readonly sentinel: Buffer;
}

/**
 * @param nonce letters and digits. It is sent in two halves, so that a shell that echoes what it reads
 * (`set -v`, `set -x`) does not print it whole.
 */
export function scriptLine(script: string, nonce: string): ScriptLine {
  const half = nonce.length >> 1;
  const announce = `printf '%s%s\\n' ${nonce.slice(0, half)} ${nonce.slice(half)}`;
  return {
    line: `set +vx; ${announce}; ${announce} >&2; eval "$(printf %b '${escaped(script)}')"\n`,
    sentinel: Buffer.from(`${nonce}\n`),
  };
}

/** For `printf %b` inside single quotes: octal escapes for all that is not plain, so that no locale matters. */
function escaped(script: string): string {
  let text = "";
  for (const byte of Buffer.from(script, "utf8")) {
    if (byte === 0) throw new RangeError("a script cannot contain NUL");
    if (byte === 10) text += "\\n";
    else if (byte === 92) text += "\\\\";
    else if (byte < 32 || byte === 39 || byte > 126) text += `\\0${byte.toString(8).padStart(3, "0")}`;
    else text += String.fromCharCode(byte);
  }
  return text;
}
