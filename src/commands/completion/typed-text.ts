/**
 * What stands before the cursor, as a shell would cut it into words, but with nothing of it carried out: a
 * command substitution is text. A quote that is still open ends with the text.
 */

export interface TypedCommand {
  /** `NAME=value` before the program. */
  readonly assignments: Readonly<Record<string, string>>;
  /** The program and its words, without the one at the cursor. */
  readonly words: readonly string[];
  /** The word at the cursor, empty after a space. */
  readonly current: string;
}

/** How the text is quoted: in fish a backslash protects quotes between single ones too. */
export type Quoting = "posix" | "fish";

interface Token {
  readonly kind: "word" | "end";
  readonly text: string;
}

/** The last simple command of the text. @param variable of a variable of the environment */
export function readTypedCommand(text: string, quoting: Quoting, variable: (name: string) => string | undefined): TypedCommand {
  const tokens = new Scanner(text, quoting, variable).tokens();
  const words = withoutRedirections(tokens.slice(tokens.findLastIndex(({ kind }) => kind === "end") + 1).map((token) => token.text));
  const current = words.pop() ?? "";
  const assignments: Record<string, string> = {};
  for (let word = words[0]; word !== undefined; word = words[0]) {
    const match = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word);
    if (match === null && !PREFIXES.includes(word)) break;
    if (match?.[1] !== undefined) assignments[match[1]] = match[2] ?? "";
    words.shift();
  }
  return { assignments, words, current };
}

/** What may stand before a command and leave it the same. */
const PREFIXES: readonly string[] = ["env", "command", "exec", "time", "noglob", "nohup"];

function withoutRedirections(words: readonly string[]): string[] {
  const left: string[] = [];
  for (const [index, word] of words.entries()) {
    const isTarget = /^\d*(?:>>?|<)$/.test(words[index - 1] ?? "");
    const isLast = index === words.length - 1;
    if (isLast || !(isTarget || /^\d*[<>]/.test(word))) left.push(word);
  }
  return left;
}

class Scanner {
  #at = 0;
  #word: string | null = null;
  readonly #tokens: Token[] = [];

  constructor(
    private readonly text: string,
    private readonly quoting: Quoting,
    private readonly variable: (name: string) => string | undefined,
  ) {}

  /** The last one is the word at the cursor. */
  tokens(): Token[] {
    while (this.#at < this.text.length) this.#step(this.text.charAt(this.#at));
    this.#tokens.push({ kind: "word", text: this.#word ?? "" });
    return this.#tokens;
  }

  #step(char: string): void {
    this.#at += 1;
    if (char === "'") this.#single();
    else if (char === '"') this.#double();
    else if (char === "\\") this.#add(this.#next());
    else if (char === "$") this.#add(this.#variable());
    else if (char === " " || char === "\t") this.#end();
    else if (";|\n".includes(char) || (char === "&" && !/[<>]$/.test(this.#word ?? ""))) {
      this.#end();
      this.#tokens.push({ kind: "end", text: char });
    } else this.#add(char);
  }

  #single(): void {
    this.#add("");
    for (let char = this.#next(); char !== "" && char !== "'"; char = this.#next()) {
      const escaped = char === "\\" && this.quoting === "fish" && /['\\]/.test(this.text.charAt(this.#at));
      this.#add(escaped ? this.#next() : char);
    }
  }

  #double(): void {
    this.#add("");
    for (let char = this.#next(); char !== "" && char !== '"'; char = this.#next()) {
      if (char === "\\" && /["\\$`]/.test(this.text.charAt(this.#at))) this.#add(this.#next());
      else this.#add(char === "$" ? this.#variable() : char);
    }
  }

  /** After a `$`: the value when it is a name of the environment, else the text itself. */
  #variable(): string {
    const match = /^(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})/.exec(this.text.slice(this.#at));
    const value = match === null ? undefined : this.variable(match[1] ?? match[2] ?? "");
    if (match === null || value === undefined) return "$";
    this.#at += match[0].length;
    return value;
  }

  #next(): string {
    const char = this.text.charAt(this.#at);
    this.#at += 1;
    return char;
  }

  #add(text: string): void {
    this.#word = (this.#word ?? "") + text;
  }

  #end(): void {
    if (this.#word !== null) this.#tokens.push({ kind: "word", text: this.#word });
    this.#word = null;
  }
}
