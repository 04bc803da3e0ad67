/** `job log`: the path of a log, or the log itself in a pager; following it is in follow.ts. */
import { existsSync } from "node:fs";
import { RequestError } from "../../protocol/error.ts";
import type { Result } from "../../protocol/methods.ts";
import { printable } from "../../terminal/printable.ts";
import type { Arguments } from "../argument.ts";
import type { Run } from "../command.ts";
import type { Context } from "../context.ts";
import { Failure, UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import { reportMissing, reportRefused } from "../report.ts";
import type { logArguments } from "./arguments.ts";
import { followLog } from "./follow.ts";

type Log = Result<"job.logs">["logs"][number];

export const run: Run<typeof logArguments> = async (args, context) => {
  checkFlags(args);
  const { output } = context;
  return context.withClient(async (client) => {
    const { logs, missing } = await client.call("job.logs", { ids: parseIds(args.ids), running: args.running ?? false });
    const missingCode = reportMissing(missing, output);
    if (logs.length === 0) return missingCode;
    if (args.tail === true) return followLog(client, { jid: onlyOne(logs).jid, stream: args.error === true ? "stderr" : "stdout" }, output);
    const pathOf = (log: Log): string | null => (args.error === true ? log.err_log : log.log);
    const paths = logs.map(pathOf).filter((path) => path !== null);
    const absent = logs.filter((log) => pathOf(log) === null).map((log) => new RequestError("log-missing", { jid: log.jid }));
    if (args.less === true) {
      const refused = reportRefused(absent, output);
      return Math.max(missingCode, refused, paths.length === 0 ? 0 : await page(paths, args, context));
    }
    if (output.json) output.printJson(logs);
    else output.printLines(paths.map((path) => (output.isTerminal() ? printable(path) : path)));
    return Math.max(missingCode, reportRefused(absent, output));
  });
};

function checkFlags(args: Arguments<typeof logArguments>): void {
  if (args.ids.length === 0 && args.running !== true) throw new UsageError("No job is named.", "Name one, or take --running.");
  if (args.less === true && args.tail === true) throw new UsageError("--less and --tail do not go together.", "Take one of them.");
  const onlyWithLess = args["raw-control-chars"] === true ? "-R" : args.decompress === true ? "-z" : null;
  if (onlyWithLess !== null && args.less !== true)
    throw new UsageError(`${onlyWithLess} goes with --less only.`, `Write j job log -l ${onlyWithLess} JID.`);
}

function onlyOne(logs: readonly Log[]): Log {
  const [first, second] = logs;
  if (first !== undefined && second === undefined) return first;
  throw new Failure("too-many-jobs", `That names ${logs.length} jobs, but one can be followed at a time.`, "Name one of them.", 2);
}

async function page(paths: readonly string[], args: Arguments<typeof logArguments>, { surroundings }: Context): Promise<number> {
  const program = args.decompress === true ? "zless" : "less";
  const found = Bun.which(program, { PATH: surroundings.environment["PATH"] ?? "" });
  if (found === null)
    throw new Failure("no-pager", `${program} is not installed on this host.`, "Leave out -l to get the path, or take -t.");
  const elsewhere = paths.find((path) => !existsSync(path));
  if (elsewhere !== undefined) {
    throw new Failure(
      "log-elsewhere",
      `There is no file "${elsewhere}" on this host.`,
      "The server may run on another host: take -t, which works from there.",
    );
  }
  const flags = args["raw-control-chars"] === true ? ["-R"] : [];
  // Ctrl-C is the pager's: it stops a search, or following a file. Our end would leave it alone with the terminal.
  process.on("SIGINT", leaveToPager);
  try {
    const pager = Bun.spawn([found, ...flags, "--", ...paths], { stdio: ["inherit", "inherit", "inherit"] });
    return (await pager.exited) === 0 ? 0 : 1;
  } finally {
    process.off("SIGINT", leaveToPager);
  }
}

function leaveToPager(): void {
  // A handler that does nothing; an ignored signal would be handed down to the pager.
}
