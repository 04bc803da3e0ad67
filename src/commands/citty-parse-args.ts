/**
 * `parseArgs` of node:util as far as citty needs it here, put in its place by the build (scripts/build-binary.ts).
 * citty takes that one function from a module whose loading alone is a tenth of a whole `job ls`. What comes to it
 * is always the one spelling of citty-call.ts: `--name=value` or `--name`, then `--`, then the words.
 */

interface Option {
  readonly type: "string" | "boolean";
  readonly default?: string | boolean | undefined;
}

interface Line {
  readonly args: readonly string[];
  readonly options?: Readonly<Record<string, Option>> | undefined;
}

interface Reading {
  readonly values: Record<string, string | boolean>;
  readonly positionals: string[];
}

/** As node:util's with `strict: false` and `allowPositionals: true`. @throws {Error} for another spelling, never for a value */
export function parseArgs({ args, options = {} }: Line): Reading {
  const values: Record<string, string | boolean> = Object.create(null);
  const end = args.indexOf("--");
  for (const arg of end < 0 ? args : args.slice(0, end)) {
    if (!arg.startsWith("--")) throw new Error(`${JSON.stringify(arg)} is not in the spelling of citty-call.ts.`);
    const equals = arg.indexOf("=");
    if (equals < 0) values[arg.slice(2)] = true;
    else values[arg.slice(2, equals)] = arg.slice(equals + 1);
  }
  for (const [name, option] of Object.entries(options)) {
    if (option.default !== undefined && values[name] === undefined) values[name] = option.default;
  }
  return { values, positionals: end < 0 ? [] : args.slice(end + 1) };
}
