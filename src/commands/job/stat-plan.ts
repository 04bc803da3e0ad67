/** What a call of `job stat` asks for, checked before anything is sent. */
import { absolutePath } from "../../config/paths.ts";
import type { Params } from "../../protocol/methods.ts";
import type { Selector } from "../../protocol/selector.ts";
import { STAT_COLUMNS, type StatColumn } from "../../terminal/job-stat.ts";
import type { Arguments } from "../argument.ts";
import type { Context } from "../context.ts";
import { UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import type { statArguments } from "./stat-arguments.ts";

export interface StatPlan {
  readonly request: Params<"job.stat">;
  readonly format: "text" | "csv" | "json" | "ids";
  /** In the order in which the flags stand; null: none was named. */
  readonly columns: readonly StatColumn[] | null;
  readonly headers: boolean;
  readonly excelSafe: boolean;
  /** Put behind what the job printed, as it is called here; null: not asked for. */
  readonly suffix: string | null;
  readonly alternatives: readonly string[];
  readonly columnMaps: readonly ColumnMap[];
  readonly mapper: MapperProgram | null;
}

export interface ColumnMap {
  readonly column: StatColumn;
  readonly program: MapperProgram;
}

export interface MapperProgram {
  /** As typed. */
  readonly name: string;
  readonly words: readonly string[];
}

type Given = Pick<Context, "givenFlags" | "surroundings" | "output">;

/** @throws UsageError */
export function planStat(args: Arguments<typeof statArguments>, given: Given): StatPlan {
  const columns = given.givenFlags.filter((flag) => (STAT_COLUMNS as readonly string[]).includes(flag)) as readonly StatColumn[];
  const format = formatOf(args, given.output);
  if (args.headers === false && format !== "text") throw new UsageError("--no-headers goes with --text only.", "Leave it out.");
  if (args["excel-safe"] === true && format !== "csv") throw new UsageError("--excel-safe goes with --csv only.", "Leave it out.");
  const program = (typed: string, flag: string): MapperProgram => mapperProgram(typed, flag, given);
  return {
    request: requestOf(args),
    format,
    columns: columns.length === 0 ? null : columns,
    headers: args.headers !== false,
    excelSafe: args["excel-safe"] === true,
    suffix: args["results-path"] ?? null,
    alternatives: args["alt-paths"].map((typed) => absolutePath(typed, given.surroundings.folder, given.surroundings.environment)),
    columnMaps: STAT_COLUMNS.flatMap((column) => {
      const typed = args[`${column}-map`];
      if (typed === undefined) return [];
      if (columns.length > 0 && !columns.includes(column))
        throw new UsageError(`--${column}-map maps a column that is not asked for.`, `Add --${column}.`);
      return [{ column, program: program(typed, `--${column}-map`) }];
    }),
    mapper: args.mapper === undefined ? null : program(args.mapper, "--mapper"),
  };
}

function formatOf(args: Arguments<typeof statArguments>, output: Given["output"]): StatPlan["format"] {
  const formats = [args.text === true ? "--text" : "", args.csv === true ? "--csv" : "", output.json ? "--json" : ""].filter(Boolean);
  if (formats.length > 1) throw new UsageError(`${formats.join(" and ")} do not go together.`, "Take one of them.");
  if (output.quiet) return "ids";
  if (output.json) return "json";
  return args.csv === true ? "csv" : "text";
}

function requestOf(args: Arguments<typeof statArguments>): Params<"job.stat"> {
  const ids = parseIds(args.id);
  const after = args.after === undefined ? null : afterOf(args.after);
  const running = args.running === true;
  if (ids.length === 0 && after === null && !running)
    throw new UsageError("No job is named.", "Name some with --id JID..., --after JID or --running; `--after 0` takes all.");
  return { ids, after, running, only_done: args["only-done"] === true };
}

function afterOf(typed: string): Selector {
  const [selector] = parseIds([typed]);
  if (selector === undefined || selector.kind === "range")
    throw new UsageError(`--after takes one id, not the range ${typed}.`, "Name the first job: all with higher ids follow.");
  return selector;
}

/** A program alone is started as it is; with words behind it, it is text for the shell. */
function mapperProgram(typed: string, flag: string, { surroundings }: Given): MapperProgram {
  const { environment, folder } = surroundings;
  const found = Bun.which(typed, { PATH: environment["PATH"] ?? "", cwd: folder });
  if (found !== null) return { name: typed, words: [found] };
  if (/\s/.test(typed)) return { name: typed, words: ["/bin/sh", "-c", typed] };
  throw new UsageError(`${flag}: there is no program ${JSON.stringify(typed)}.`, "Give its path, and see that it is executable.");
}
