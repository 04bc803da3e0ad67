/** `expjobserver check`: one line a finding; the exit code says how bad the worst is. */

import { absolutePath } from "../../config/paths.ts";
import { resolveServeOptions } from "../../config/serve-options.ts";
import { checkLines, findingWords } from "../../terminal/check-findings.ts";
import type { Run } from "../command.ts";
import type { checkArguments } from "./arguments.ts";
import { offlineReport } from "./outcome.ts";

const EXIT_ATTENTION = 1;
const EXIT_DAMAGE = 7;

export const run: Run<typeof checkArguments> = async (args, context) => {
  const { output, shared, surroundings } = context;
  const settings = { ...shared, logDir: args["log-dir"], knownHosts: args["known-hosts"] };
  const { stateDir, logDir, knownHosts } = await resolveServeOptions(settings, surroundings);
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
