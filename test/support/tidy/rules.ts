/**
 * The rules about the text of one file: purity, banned constructs, names, sizes, and tests that prove
 * nothing. A line `// tidy-allow RULE: reason` above a violation, or at its end, lets it stand.
 */
import { basename } from "node:path";
import { endOfBracket, importsOf, lineOf, type SourceFile } from "./source.ts";

export interface Violation {
  readonly rule: string;
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

type Rule = (file: SourceFile) => Violation[];

const linesMax = 500;
/** From here on a file is listed, so that it is divided before it must be. */
export const linesWarned = 350;

const isSource = (path: string) => path.startsWith("src/");
const isTest = (path: string) => path.startsWith("test/");
const isPure = (path: string) => /^src\/(core|protocol|terminal)\//.test(path);
const isOutput = (path: string) => /^src\/(terminal\/output[\w-]*|commands\/output)\.ts$/.test(path);
/** Where `waitFor` and its like live. */
const isWaiting = (path: string) => /^test\/support\/wait[\w-]*\.ts$/.test(path);

const pureBunFunctions = ["stringWidth", "sliceAnsi", "wrapAnsi", "stripANSI", "hash", "CryptoHasher"];

interface PatternRule {
  readonly name: string;
  readonly applies: (path: string) => boolean;
  /** Searched in code only, not in strings or comments. */
  readonly pattern: RegExp;
  readonly message: string;
}

const patternRules: readonly PatternRule[] = [
  {
    name: "clock",
    applies: isPure,
    pattern: /(?<![.\w$])(Date\s*\.\s*now|new\s+Date\s*(\(\s*\)|(?!\s*\())|Date\s*\(\s*\)|performance\b|Temporal\s*\.\s*Now)/g,
    message: "a pure folder has no clock: time comes in as an argument",
  },
  {
    name: "randomness",
    applies: isPure,
    pattern: /(?<![.\w$])(Math\s*\.\s*random|crypto\s*\.)/g,
    message: "a pure folder has no randomness: ids come in as arguments",
  },
  { name: "process", applies: isPure, pattern: /(?<![.\w$])process\s*(\.|\[)/g, message: "a pure folder knows no process" },
  {
    name: "timer",
    applies: isPure,
    pattern: /(?<![.\w$])(setTimeout|setInterval|setImmediate)\b/g,
    message: "a pure folder has no timers",
  },
  { name: "network", applies: isPure, pattern: /(?<![.\w$])(fetch|WebSocket)\s*\(/g, message: "a pure folder has no effects" },
  { name: "any", applies: () => true, pattern: /(?<![.\w$])any\b(?!\s*[(:=])/g, message: "`any` hides errors: use unknown, or the type" },
  { name: "enum", applies: () => true, pattern: /(?<![.\w$])enum\s+[A-Za-z_$]/g, message: "`enum` is not used: a union of strings" },
  {
    name: "non-null",
    applies: () => true,
    pattern: /[\w$)\]]!(?!=)(?=\s*(?:[.,;:)\]}[]|$|as\b))/gm,
    message: "a non-null `!` is a claim without proof",
  },
  {
    name: "process-exit",
    applies: (path) => isSource(path) && path !== "src/main.ts",
    pattern: /(?<![.\w$])process\s*\.\s*(exit|abort|reallyExit)\s*\(/g,
    message: "only src/main.ts ends the process",
  },
  {
    name: "console",
    applies: (path) => isSource(path) && !isOutput(path),
    pattern: /(?<![.\w$])console\s*[.[]/g,
    message: "only the output modules print",
  },
  {
    name: "test-branch",
    applies: isSource,
    pattern: /(?<![\w$])(NODE_ENV|BUN_TEST)\b|\bisTest(Run|Mode|ing)?\b/g,
    message: "production code does not know that it is tested",
  },
  {
    name: "sleep",
    applies: (path) => isTest(path) && !isWaiting(path),
    pattern: /(?<![\w$])(Bun\s*\.\s*sleep(Sync)?\s*\(|await\s+(sleep|delay)\s*\(|setTimeout\s*\(\s*(resolve|settle|done|wake|r)\s*,)/g,
    message: "a test waits for a condition, never for a time",
  },
  {
    name: "skipped",
    applies: isTest,
    pattern: /(?<![.\w$])(test|it|describe)\s*\.\s*(skip|todo|only)\b/g,
    message: "no test is skipped in silence",
  },
];

const rules: readonly Rule[] = [
  ...patternRules.map(patternRule),
  pureImports,
  pureBun,
  switchDefaults,
  fileNames,
  fileSize,
  headerComment,
  testsWithoutExpect,
];

/** All rules that look at one TypeScript file, less what a `tidy-allow` lets stand. */
export function textViolations(file: SourceFile): Violation[] {
  return rules.flatMap((rule) => rule(file)).filter((violation) => !isExcused(file, violation));
}

/** An excuse without a reason is none. */
function isExcused(file: SourceFile, { rule, line }: Violation): boolean {
  const lines = file.text.split("\n");
  return [lines[line - 2], lines[line - 1]].some((text) => new RegExp(`// tidy-allow ${rule}: \\S+`).test(text ?? ""));
}

function patternRule({ name, applies, pattern, message }: PatternRule): Rule {
  return (file) => {
    if (!applies(file.path)) return [];
    return [...file.code.matchAll(pattern)].map((match) => at(file, name, match.index, message));
  };
}

function pureImports(file: SourceFile): Violation[] {
  if (!isPure(file.path)) return [];
  return importsOf(file)
    .filter(({ specifier }) => /^(node|bun):/.test(specifier) || specifier === "bun")
    .map(({ specifier, line }) => ({ rule: "pure-import", path: file.path, line, message: `a pure folder must not import ${specifier}` }));
}

function pureBun(file: SourceFile): Violation[] {
  if (!isPure(file.path)) return [];
  return [...file.code.matchAll(/(?<![.\w$])Bun\b(?:\s*\.\s*(\w+))?/g)]
    .filter((match) => !pureBunFunctions.includes(match[1] ?? ""))
    .map((match) => at(file, "pure-bun", match.index, `of Bun a pure folder may use ${pureBunFunctions.join(", ")}`));
}

/** `default:` directly in the block of a switch; a key of that name in an object is something else. */
function switchDefaults(file: SourceFile): Violation[] {
  const violations: Violation[] = [];
  for (const match of file.code.matchAll(/(?<![.\w$])switch\s*\(/g)) {
    const open = file.code.indexOf("{", endOfBracket(file.code, match.index + match[0].length - 1));
    if (open === -1) continue;
    const end = endOfBracket(file.code, open);
    for (let offset = open + 1; offset < end - 1; offset += 1) {
      if ("([{".includes(file.code[offset] ?? "")) offset = endOfBracket(file.code, offset) - 1;
      else if (/^(?<![.\w$])default\s*:/.test(file.code.slice(offset, offset + 40)) && !/[.\w$]/.test(file.code[offset - 1] ?? "")) {
        violations.push(
          at(
            file,
            "switch-default",
            offset,
            "a switch over a union names every case: `default` hides the one added later. Over words from outside: `// tidy-allow switch-default: an open set`",
          ),
        );
      }
    }
  }
  return violations;
}

function fileNames(file: SourceFile): Violation[] {
  if (!/^(utils?|helpers?|common|misc|shared|types|index)\.(ts|tsx|mjs)$/.test(basename(file.path))) return [];
  return [{ rule: "name", path: file.path, line: 1, message: "a file is named after what it is about" }];
}

function fileSize(file: SourceFile): Violation[] {
  const lines = lineCount(file);
  if (lines <= linesMax) return [];
  return [{ rule: "size", path: file.path, line: linesMax, message: `${lines} lines; at most ${linesMax}` }];
}

export function lineCount(file: SourceFile): number {
  return file.text.split("\n").length - (file.text.endsWith("\n") ? 1 : 0);
}

function headerComment(file: SourceFile): Violation[] {
  if (!isSource(file.path) || /^(#!.*\n)?\s*\/[/*]/.test(file.text)) return [];
  return [{ rule: "header", path: file.path, line: 1, message: "a file opens with what it owns and what it must not do" }];
}

/** A test asserts itself, or calls a function that does: one of this file, or one whose name says so. */
function testsWithoutExpect(file: SourceFile): Violation[] {
  if (!isTest(file.path)) return [];
  const asserting = new Set<string>();
  const asserts = (code: string) =>
    /(?<![.\w$])(expect\w*|assert\w*|check\w*|verify\w*)\s*[.(<]|\bfc\s*\.\s*assert\b/.test(code) ||
    [...asserting].some((name) => new RegExp(`(?<![.\\w$])${name}\\s*\\(`).test(code));
  const functions = functionsOf(file.code);
  for (let before = -1; before !== asserting.size; ) {
    before = asserting.size;
    for (const { name, body } of functions) if (asserts(body)) asserting.add(name);
  }
  const violations: Violation[] = [];
  for (const match of file.code.matchAll(/(?<![.\w$])(?:test|it)(?:\s*\.\s*(?:each|if|skipIf|concurrent|serial))*\s*\(/g)) {
    let end = endOfBracket(file.code, match.index + match[0].length - 1);
    // test.each(table)(name, body)
    if (file.code[end] === "(") end = endOfBracket(file.code, end);
    const call = file.code.slice(match.index, end);
    // A regular expression's `.test(` has no function in it, nor has a name given on.
    if (!/=>|function/.test(call) || asserts(call)) continue;
    violations.push(at(file, "no-expect", match.index, "this test asserts nothing"));
  }
  return violations;
}

function functionsOf(code: string): { name: string; body: string }[] {
  const found: { name: string; body: string }[] = [];
  for (const match of code.matchAll(
    /(?<![.\w$])(?:function\s*\*?\s*(\w+)\s*(?:<[^>]*>)?\s*(?=\()|(?:const|let)\s+(\w+)\s*(?::[^=]*)?=\s*(?:async\s*)?(?=[(<\w]))/g,
  )) {
    const name = match[1] ?? match[2];
    const parameters = match.index + match[0].length;
    const open = code.indexOf("{", endOfBracket(code, code.indexOf("(", parameters)));
    if (name === undefined || open === -1) continue;
    // A `const` that is no function: only what lies before the next line's end belongs to it.
    const arrow = match[2] === undefined || /=>/.test(code.slice(parameters, open));
    if (arrow) found.push({ name, body: code.slice(open, endOfBracket(code, open)) });
  }
  return found;
}

function at(file: SourceFile, rule: string, offset: number, message: string): Violation {
  return { rule, path: file.path, line: lineOf(file.text, offset), message };
}
