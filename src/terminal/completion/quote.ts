/** A word in single quotes, for the places of a script where a path of this host goes in. */

/** @param escapes what each character that is special between single quotes is written as */
export function singleQuoted(word: string, escapes: Readonly<Record<string, string>>): string {
  return `'${Array.from(word, (character) => escapes[character] ?? character).join("")}'`;
}

/** For bash and zsh. */
export function shellWord(word: string): string {
  return singleQuoted(word, { "'": "'\\''" });
}
