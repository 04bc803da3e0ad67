/**
 * The one function that makes outside text safe to print: jobs, machines and files may hold anything, and
 * none of it may move the cursor, change a colour, reverse the line or hide. What has no width of its own or
 * acts on the terminal is written as an escape; letters with their marks, wide characters and most emoji stay.
 */

/** Control and format characters, surrogates, private and unassigned ones, separators, and what is invisible by default. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{DI}]/gu;
/** A mark belongs to a letter; at most two, so that a line keeps its height. */
const STRAY_MARK = /(?<=^|[^\p{L}\p{N}\p{M}]|\p{M}\p{M})\p{M}/gu;
/** Marks that enclose what stands before them: their width is another in each terminal. */
const ENCLOSING = /\p{Me}/gu;
/** Letters that are drawn over their neighbours, or take no column, in many terminals. */
const JOINING = /[\u1160-\u11ff\ud7b0-\ud7fb]/gu;
const PLAIN = /^[\x20-\x7e]*$/;

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", "\0": "\\0" };

/** One line, of the width that Bun.stringWidth says, that does nothing to the terminal. */
export function printable(text: string): string {
  if (PLAIN.test(text)) return text;
  return text
    .normalize("NFC")
    .replace(UNPRINTABLE, escaped)
    .replace(ENCLOSING, escaped)
    .replace(STRAY_MARK, escaped)
    .replace(JOINING, escaped);
}

/** The same for text whose line breaks are meant: they stay. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

function escaped(character: string): string {
  const named = NAMED[character];
  if (named !== undefined) return named;
  const code = (character.codePointAt(0) ?? 0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\u{${code}}`;
}
