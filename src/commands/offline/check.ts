/** `expjobserver check`: one line a finding; the exit code says how bad the worst is. */

import { resolveShared } from "../../config/client-options.ts";
import { absolutePath, defaultLogDir } from "../../config/paths.ts";
import { checkLines, findingWords } from "../../terminal/check-findings.ts";
import type { Run } from "../command.ts";
import type { checkArguments } from "./arguments.ts";
import { offlineReport, pathOf } from "./outcome.ts";

const EXIT_ATTENTION = 1;
const EXIT_DAMAGE = 7;

export const run: Run<typeof checkArguments> = async (args, context) => {
  const { output, shared, surroundings } = context;
  const { stateDir, file } = await resolveShared(shared, surroundings);
  const named = (typed: string | undefined, configured: string | undefined): string | null =>
    typed === undefined ? (configured ?? null) : pathOf(typed, context);
  const logDir = named(args["log-dir"], file.serve.log_dir) ?? defaultLogDir(stateDir);
  const knownHosts = named(args["known-hosts"], file.serve.known_hosts);
  const usual = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts"];
  const files = knownHosts === null ? usual.map((path) => absolutePath(path, "/", surroundings.environment)) : [knownHosts];
  const task = { kind: "check", stateDir, logDir, knownHosts: files, namedKnownHosts: knownHosts !== null } as const;
  const report = await offlineReport(task, "checked", context);
  const { findings } = report;
  if (output.json) {
    output.printJson({
      state_dir: report.stateDir,
      server_pid: report.serverPid,
      findings: findings.map((finding) => ({ ...finding, ...findingWords(finding) })),
      checked: report.checked,
    });
  } else {
    output.printLines(checkLines(report, { quiet: output.quiet }));
  }
  if (findings.some((finding) => finding.severity === "damage")) return EXIT_DAMAGE;
  return findings.some((finding) => finding.severity === "attention") ? EXIT_ATTENTION : 0;
};
