/**
 * TypeScript source as the tidy rules see it: where the code is, where strings and comments are, which
 * modules are imported and how. A scanner, not a parser: it knows just enough of the grammar that a word
 * in a string, a comment or a regular expression is not mistaken for code.
 */

export interface SourceFile {
  /** Relative to the repository, with `/`. */
  readonly path: string;
  readonly text: string;
  /** The text with the inside of comments, strings and regular expressions blanked; offsets and lines stay. */
  readonly code: string;
  /** The text with only comments blanked. */
  readonly uncommented: string;
}

export interface Import {
  readonly specifier: string;
  readonly kind: "type" | "static" | "dynamic";
  readonly line: number;
}

export function sourceFile(path: string, text: string): SourceFile {
  const { code, uncommented } = blank(text);
  return { path, text, code, uncommented };
}

export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** Static, type-only and dynamic imports, and re-exports. A type in braces beside a value counts as static. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  const statement = /(?<![.\w$])(import|export)(\s+type)?\b([^"'`;=()]*?)(?:\bfrom\s*)?(["'])([^"'\n]+)\4/g;
  for (const match of file.uncommented.matchAll(statement)) {
    const [, keyword, type, between = "", , specifier = ""] = match;
    // `export const x = "…"` and the like are no re-exports; a bare `import "x"` has nothing in between.
    if (keyword === "export" && !/\bfrom\s*$/.test(match[0].slice(0, match[0].length - specifier.length - 2))) continue;
    if (!isCode(file, match.index)) continue;
    const isType = type !== undefined && between.trim() !== "";
    found.push({ specifier, kind: isType ? "type" : "static", line: lineOf(file.text, match.index) });
  }
  for (const match of file.uncommented.matchAll(/(?<![.\w$])(?:import|require)\s*\(\s*(["'`])([^"'`\n]+)\1/g)) {
    if (!isCode(file, match.index)) continue;
    found.push({ specifier: match[2] ?? "", kind: "dynamic", line: lineOf(file.text, match.index) });
  }
  return found;
}

/** The offset just after the bracket that closes the one at `open`, or the end of the text. */
export function endOfBracket(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    const char = code[at] ?? "";
    if ("([{".includes(char)) depth += 1;
    else if (")]}".includes(char)) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return code.length;
}

function isCode(file: SourceFile, offset: number): boolean {
  return file.code[offset] === file.text[offset];
}

interface Blanked {
  readonly code: string;
  readonly uncommented: string;
}

function blank(text: string): Blanked {
  const code = [...text.split("")];
  const uncommented = [...code];
  const clear = (target: string[], from: number, to: number) => {
    for (let at = from; at < to; at += 1) if (text[at] !== "\n") target[at] = " ";
  };
  /** For each open template: how many braces are open in its `${`. */
  const templates: number[] = [];
  let at = 0;
  while (at < text.length) {
    const char = text[at] ?? "";
    const pair = text.slice(at, at + 2);
    if (pair === "//" || pair === "/*" || (at === 0 && pair === "#!")) {
      const end = pair === "/*" ? endAfter(text, "*/", at + 2) : endBefore(text, "\n", at);
      clear(code, at, end);
      clear(uncommented, at, end);
      at = end;
    } else if (char === '"' || char === "'") {
      const end = endOfString(text, at);
      clear(code, at + 1, end - 1);
      at = end;
    } else if (char === "`" || (char === "}" && templates.at(-1) === 0)) {
      const end = endOfTemplatePart(text, at + 1);
      const opens = text[end - 1] === "{";
      clear(code, at + 1, opens ? end - 2 : end - 1);
      if (char === "}") templates.pop();
      if (opens) templates.push(0);
      at = end;
    } else if (char === "/" && regexMayBegin(text, at)) {
      const end = endOfRegex(text, at);
      clear(code, at + 1, end - 1);
      at = end;
    } else {
      const depth = templates.at(-1);
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") templates[templates.length - 1] = depth - 1;
      at += 1;
    }
  }
  return { code: code.join(""), uncommented: uncommented.join("") };
}

function endAfter(text: string, needle: string, from: number): number {
  const at = text.indexOf(needle, from);
  return at === -1 ? text.length : at + needle.length;
}

function endBefore(text: string, needle: string, from: number): number {
  const at = text.indexOf(needle, from);
  return at === -1 ? text.length : at;
}

function endOfString(text: string, open: number): number {
  let at = open + 1;
  while (at < text.length && text[at] !== text[open] && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** To just after the closing backquote, or after the `${` that comes before it. */
function endOfTemplatePart(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== "`") {
    if (text.slice(at, at + 2) === "${") return at + 2;
    at += text[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

/** A slash after a value divides; after an operator, an opening bracket or a keyword it begins a pattern. */
function regexMayBegin(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 40), at).trimEnd();
  if (before === "") return true;
  if (/(?:^|[^\w$.])(return|typeof|case|in|of|do|else|void|await|yield)$/.test(before)) return true;
  return /[=(,:;!&|?{}[+\-*%<>~^]$/.test(before);
}

function endOfRegex(text: string, open: number): number {
  let inClass = false;
  for (let at = open + 1; at < text.length && text[at] !== "\n"; at += 1) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "/" && !inClass) return at + 1;
  }
  return open + 1;
}
