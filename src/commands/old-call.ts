/** The old way to start the server, `expjobserver DRIVER LOG_DIR [CONFIG] [--allow_snap_fail]`, as a call of `serve`. */
import { UsageError } from "./failure.ts";

export interface OldCall {
  readonly argv: readonly string[];
  /** For the start of the server, one line each. */
  readonly notes: readonly string[];
}

const SHAPE = "Write expjobserver DRIVER LOG_DIR [CONFIG] [--allow_snap_fail], or see `expjobserver serve --help`.";

/** Known by a `/` in the first word: no command has one. */
export function isOldCall(argv: readonly string[]): boolean {
  const first = argv.find((word) => !isSnapFlag(word));
  return first !== undefined && !first.startsWith("-") && first.includes("/");
}

/** @throws UsageError */
export function readOldCall(argv: readonly string[]): OldCall {
  const words: string[] = [];
  const flags: string[] = [];
  // The flags of `serve` are taken too, after the words.
  for (const [index, word] of argv.entries()) {
    if (isSnapFlag(word)) flags.push("--allow-snap-fail");
    else if (word.startsWith("-")) {
      flags.push(...argv.slice(index));
      break;
    } else words.push(word);
  }
  const [driver = "", logDir, config, extra] = words;
  if (logDir === undefined) throw new UsageError("The log folder is missing after the driver.", SHAPE);
  if (extra !== undefined) throw new UsageError(`${JSON.stringify(extra)} is one word too many.`, SHAPE);
  const notes = [
    "Called the old way: the driver gets the words of a job only. One that expects the old first argument wants `--runner-arg --print_results_path`.",
  ];
  const called = ["serve", `--runner=${driver}`, `--log-dir=${logDir}`];
  if (config !== undefined) {
    if (config.endsWith(".toml")) called.push(`--config=${config}`);
    else if (/\.ya?ml$/.test(config)) notes.push(`The old logging config "${config}" is not used: see --log-level and --log-dir.`);
    else throw new UsageError(`The config ${JSON.stringify(config)} is neither .toml nor .yml.`, SHAPE);
  }
  return { argv: [...called, ...flags], notes };
}

function isSnapFlag(word: string): boolean {
  return word === "--allow_snap_fail" || word === "--allow-snap-fail";
}
