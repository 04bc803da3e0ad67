/** `job log`: the path of a log; paging it is in page.ts, following it in follow.ts. */
import { RequestError } from "../../protocol/error.ts";
import type { Result } from "../../protocol/methods.ts";
import { printable } from "../../terminal/printable.ts";
import type { Arguments } from "../argument.ts";
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { parseIds } from "../ids.ts";
import { reportMissing, reportRefused } from "../report.ts";
import type { logArguments } from "./arguments.ts";
import { type FollowedLog, followLogs } from "./follow.ts";
import { presentPath } from "./log-files.ts";

/** A setup job has one for each of its commands, in their order. */
type Log = Result<"job.logs">["logs"][number];

export const run: Run<typeof logArguments> = async (args, context) => {
  checkFlags(args);
  const { output } = context;
  const stream = args.error === true ? "stderr" : "stdout";
  const pathOf = (log: Log): string | null => (stream === "stderr" ? log.err_log : log.log);
  return context.withClient(async (client) => {
    const { logs, missing } = await client.call("job.logs", { ids: parseIds(args.ids), running: args.running ?? false });
    const missingCode = reportMissing(missing, output);
    if (logs.length === 0) {
      if (args.running === true && (args.tail === true || args.less === true)) output.warn("No job is running.", "");
      if (output.json && missing.length === 0) output.printJson([]);
      return missingCode;
    }
    if (args.tail === true) return Math.max(missingCode, await followLogs(client, { logs: followed(logs), stream }, output));
    const absent = logs
      .filter((log) => pathOf(log) === null)
      .map((log) => new RequestError(log.expired === true ? "log-expired" : "log-missing", { jid: log.jid }));
    if (args.less === true) {
      const refused = reportRefused(absent, output);
      const wanted = logs.flatMap((log) => {
        const path = pathOf(log);
        return path === null ? [] : [{ jid: log.jid, stream, path } as const];
      });
      if (wanted.length === 0) return Math.max(missingCode, refused);
      const { pageLogs } = await import("./page.ts");
      const flags = { rawControlCharacters: args["raw-control-chars"] === true, decompress: args.decompress === true };
      return Math.max(missingCode, refused, await pageLogs(client, { logs: wanted, flags }, context));
    }
    const shown = logs.map((log) => ({ ...log, log: hereOr(log.log), err_log: hereOr(log.err_log) }));
    if (output.json) output.printJson(shown);
    else {
      const paths = shown.map(pathOf).filter((path) => path !== null);
      output.printLines(paths.map((path) => (output.isTerminal() ? printable(path) : path)));
    }
    return Math.max(missingCode, reportRefused(absent, output));
  });
};

/** A log that the server has compressed is called otherwise; one that is on another host only, as it is there. */
function hereOr(path: string | null): string | null {
  return path === null ? null : (presentPath(path) ?? path);
}

function followed(logs: readonly Log[]): readonly FollowedLog[] {
  return [...Map.groupBy(logs, (log) => log.jid)].map(([jid, all]) => ({ jid, commands: all.at(-1)?.command ?? null }));
}

function checkFlags(args: Arguments<typeof logArguments>): void {
  if (args.ids.length === 0 && args.running !== true) throw new UsageError("No job is named.", "Name one, or take --running.");
  if (args.ids.length > 0 && args.running === true) throw new UsageError("Ids and --running do not go together.", "Take one of them.");
  if (args.less === true && args.tail === true) throw new UsageError("--less and --tail do not go together.", "Take one of them.");
  const onlyWithLess = args["raw-control-chars"] === true ? "-R" : args.decompress === true ? "-z" : null;
  if (onlyWithLess !== null && args.less !== true)
    throw new UsageError(`${onlyWithLess} goes with --less only.`, `Write j job log -l ${onlyWithLess} JID.`);
}
