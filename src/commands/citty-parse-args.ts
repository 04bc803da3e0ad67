/**
 * `parseArgs` of node:util as far as citty needs it here, put in its place by the build (scripts/build-binary.ts).
 * citty takes that one function from a module whose loading alone is a tenth of a whole `job ls`. What comes to it
 * is always an empty line: the words of a call are read by parse.ts, and citty-call.ts gives citty none.
 */

interface Line {
  readonly args: readonly string[];
}

interface Reading {
  readonly values: Record<string, string | boolean>;
  readonly positionals: string[];
}

/** @throws {Error} for a line with words */
export function parseArgs({ args }: Line): Reading {
  if (args.length > 0) throw new Error(`${JSON.stringify(args[0])} was to be read by parse.ts.`);
  return { values: {}, positionals: [] };
}
