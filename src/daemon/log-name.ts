/** Names of job logs: `12-exp00010_host:22_--thp_1`, made of the masked command so that `ls` tells what is what. */

/** With the suffix of the stderr log it still fits any file system's 255 bytes, compressed or not. */
const NAME_BYTES_MAX = 200;

export const STDERR_SUFFIX = ".err";

/** More of a command never shows: each character has at least one byte. */
const CHARACTERS_READ_MAX = 4_096;

/** @param distinction when it is not empty it ends the name: the plain one is taken */
export function logName(jid: number, commandLine: string, distinction = ""): string {
  // What is not a plain character of a file name becomes one underscore.
  const words = commandLine
    .slice(0, CHARACTERS_READ_MAX)
    .replace(/[^\p{L}\p{N}._:@%+=,~-]+/gu, "_")
    .replace(/^_+|_+$/g, "");
  const end = distinction === "" ? "" : `.${distinction}`;
  return `${truncated(`${jid}-${words}`, NAME_BYTES_MAX - STDERR_SUFFIX.length - end.length)}${end}`;
}

function truncated(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  let kept = "";
  let bytes = 0;
  for (const char of text) {
    bytes += Buffer.byteLength(char);
    if (bytes > bytesMax) break;
    kept += char;
  }
  return kept;
}
