/** `expjobserver import FILE`: the old system's snapshot. */
import { dirname } from "node:path";
import { importLines } from "../../terminal/import-report.ts";
import type { Run } from "../command.ts";
import type { importArguments } from "./arguments.ts";
import { offlineReport, pathOf, stateDirOf } from "./outcome.ts";

export const run: Run<typeof importArguments> = async (args, context) => {
  const { output } = context;
  const file = pathOf(args.file, context);
  const task = {
    kind: "import",
    stateDir: await stateDirOf(context),
    file,
    logs: args.logs === undefined ? dirname(file) : pathOf(args.logs, context),
    withMachines: args.machines ?? true,
    dryRun: args["dry-run"] ?? false,
    allowNetworkFs: args["allow-network-fs"] ?? false,
  } as const;
  const report = await offlineReport(task, "imported", context);
  if (output.json) output.printJson(snakeCase(report));
  else if (!output.quiet) output.printLines(importLines(report));
  return 0;
};

function snakeCase({ dryRun, nextId, cutShort, ...rest }: Parameters<typeof importLines>[0]): unknown {
  return { dry_run: dryRun, next_id: nextId, cut_short: cutShort, ...rest };
}
