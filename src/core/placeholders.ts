/**
 * Placeholders `{NAME}` in commands and result paths. One pass: a value is never parsed again, so it can
 * change neither the structure of a driver's command nor name another variable.
 */

export type Values = (name: string) => string | undefined;

/** Known for every job; what a matrix or `j var` defines goes before them. */
export const BUILT_IN_NAMES = ["MACHINE", "HOST", "PORT", "JID", "MATRIX", "ATTEMPT"] as const;

const PLACEHOLDER = /(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** The names that a template mentions, each once, in the order of first mention. */
export function placeholderNames(template: string): readonly string[] {
  return [...new Set(Array.from(template.matchAll(PLACEHOLDER), (match) => match[1] ?? ""))];
}

/** Puts values in as they are; a name without a value is left as typed. */
export function substitute(template: string, values: Values): string {
  return template.replace(PLACEHOLDER, (typed, name: string) => values(name) ?? typed);
}

/** The length of what `substitute` would make, without making it. @param lengths of the values by name; others stay as typed */
export function substitutedLength(template: string, lengths: ReadonlyMap<string, number>): number {
  let length = template.length;
  for (const [typed, name = ""] of template.matchAll(PLACEHOLDER)) length += (lengths.get(name) ?? typed.length) - typed.length;
  return length;
}

export class UnbalancedQuotes extends Error {
  override readonly name = "UnbalancedQuotes";
}

/**
 * The words of a driver's command: quotes and backslash only, everything else is ordinary. An unquoted
 * placeholder is split at white space and vanishes when it is empty; one in quotes stays in its word.
 * @throws {UnbalancedQuotes}
 */
export function driverWords(template: string, values: Values): string[] {
  const words: string[] = [];
  /** null: between words. */
  let word: string | null = null;
  let quote: "'" | '"' | null = null;
  const endWord = (): void => {
    if (word !== null) words.push(word);
    word = null;
  };

  for (let at = 0; at < template.length; ) {
    const char = template.charAt(at);
    const named = placeholderAt(template, at);
    const value = named === null ? undefined : values(named.name);
    if (named !== null && value !== undefined) {
      if (quote !== null) word = (word ?? "") + value;
      else word = appendSplit(value, word, words);
      at += named.length;
    } else if (quote !== null && char === quote) {
      quote = null;
      at++;
    } else if (char === "\\" && quote !== "'") {
      if (at + 1 >= template.length) throw new UnbalancedQuotes("the command ends with a backslash");
      const next = template.charAt(at + 1);
      // A line that ends with a backslash goes on. In double quotes a backslash is itself unless it protects a quote or a backslash.
      if (next !== "\n") word = (word ?? "") + (quote === '"' && next !== '"' && next !== "\\" ? char + next : next);
      at += 2;
    } else if (quote === null && (char === "'" || char === '"')) {
      quote = char;
      word ??= "";
      at++;
    } else if (quote === null && isSpace(char)) {
      endWord();
      at++;
    } else {
      word = (word ?? "") + char;
      at++;
    }
  }
  if (quote !== null) throw new UnbalancedQuotes(`a ${quote === "'" ? "single" : "double"} quote is not closed`);
  endWord();
  return words;
}

/** Splits an unquoted value at white space; its first and last pieces join what stands beside it. */
function appendSplit(value: string, word: string | null, words: string[]): string | null {
  const pieces = value.split(/[ \t\n\r]+/);
  let current = word;
  pieces.forEach((piece, index) => {
    if (index > 0) {
      if (current !== null) words.push(current);
      current = null;
    }
    if (piece !== "") current = (current ?? "") + piece;
  });
  return current;
}

function placeholderAt(template: string, at: number): { readonly name: string; readonly length: number } | null {
  if (template.charAt(at) !== "{" || template.charAt(at - 1) === "$") return null;
  const match = /^\{([A-Za-z_][A-Za-z0-9_]*)\}/.exec(template.slice(at, at + 300));
  return match === null ? null : { name: match[1] ?? "", length: match[0].length };
}

function isSpace(char: string): boolean {
  return char === " " || char === "\t" || char === "\n" || char === "\r";
}
