/**
 * Rules about every file of the repository, whatever its kind: nothing in it may name the machine on which
 * it was written or the registry its packages came from.
 */
import type { Violation } from "./rules.ts";

interface TracePattern {
  readonly pattern: RegExp;
  readonly message: string;
}

// Written in pieces, so that this file does not contain what it looks for.
const tracePatterns: readonly TracePattern[] = [
  { pattern: new RegExp(`(?<![\\w.~-])/${"work"}/`), message: "a path of the machine it was written on" },
  {
    pattern: new RegExp(`(?<![\\w.~-])/${"home"}/(?!user\\b|USER\\b|you\\b|[<$\\[{*.])[a-z]`),
    message: "a person's home folder; write ~, or /home/user",
  },
  { pattern: new RegExp(`(?<![\\w.~-])/${"Users"}/(?!user\\b|you\\b)[a-z]`), message: "a person's home folder" },
  { pattern: new RegExp(`\\b${"registry"}\\.[a-z0-9-]+\\.[a-z]{2,}`, "i"), message: "a registry's host; the user's npm settings name it" },
  { pattern: new RegExp(`"${"resolved"}":\\s*"https?:`), message: "a lock file entry with a host; see .npmrc" },
];

export function traceViolations(path: string, text: string): Violation[] {
  const violations: Violation[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    for (const { pattern, message } of tracePatterns) {
      if (pattern.test(line)) violations.push({ rule: "trace", path, line: index + 1, message });
    }
  }
  return violations;
}
