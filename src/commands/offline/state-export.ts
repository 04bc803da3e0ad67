/** `expjobserver state export`: the document to a file or stdout; what is to be known about it to stderr in that case. */
import { exportedLine, exportWarnings } from "../../terminal/import-report.ts";
import type { Run } from "../command.ts";
import type { stateExportArguments } from "./arguments.ts";
import { offlineReport, pathOf, stateDirOf } from "./outcome.ts";

export const run: Run<typeof stateExportArguments> = async (args, context) => {
  const { output } = context;
  const file = args.file === "-" ? null : pathOf(args.file, context);
  const withSecrets = args["with-secrets"] ?? false;
  const stateDir = await stateDirOf(context);
  const task = { kind: "state-export", stateDir, file, withSecrets, write: (bytes: Uint8Array) => output.write(bytes) } as const;
  const report = await offlineReport(task, "exported", context);
  for (const { message, hint } of exportWarnings(report)) output.warn(message, hint);
  if (file === null) return 0;
  const { jobs, bytes, secretsLeftOut, underWay, serverPid } = report;
  if (output.json) output.printJson({ file, jobs, bytes, secrets_left_out: secretsLeftOut, under_way: underWay, server_pid: serverPid });
  else if (!output.quiet) output.print(exportedLine(report));
  return 0;
};
