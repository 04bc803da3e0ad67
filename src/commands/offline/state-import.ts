/** `expjobserver state import`: an exported state into an empty state directory. */
import { stateImportLines } from "../../terminal/import-report.ts";
import type { Run } from "../command.ts";
import type { stateImportArguments } from "./arguments.ts";
import { offlineReport, pathOf, stateDirOf } from "./outcome.ts";

export const run: Run<typeof stateImportArguments> = async (args, context) => {
  const { output } = context;
  const task = {
    kind: "state-import",
    stateDir: await stateDirOf(context),
    file: pathOf(args.file, context),
    dryRun: args["dry-run"] ?? false,
    allowNetworkFs: args["allow-network-fs"] ?? false,
  } as const;
  const report = await offlineReport(task, "state-imported", context);
  if (output.json) {
    const { dryRun, nextId, secretsToSet, ...rest } = report;
    output.printJson({ dry_run: dryRun, next_id: nextId, secrets_to_set: secretsToSet, ...rest });
  } else if (!output.quiet) {
    output.printLines(stateImportLines(report));
  }
  return 0;
};
