/**
 * `expjobserver check`: everything that a start would read, and what it would not, is read and judged; nothing is
 * written, and no lock taken. Beside a running server what looks wrong is looked at again, because files come and go.
 */
import { existsSync } from "node:fs";
import type { CheckReport, Finding, OfflineOutcome, OfflineTask } from "../../config/offline-task.ts";
import { storePaths } from "../../store/paths.ts";
import { serverOn } from "../past-state.ts";
import { checkFiles, checkLogFolder } from "./files.ts";
import { Findings } from "./findings.ts";
import { checkKnownHosts } from "./known-hosts.ts";
import { checkRuns } from "./runs.ts";
import { checkState } from "./state.ts";

type CheckTask = Extract<OfflineTask, { readonly kind: "check" }>;

const LOOKS_MAX = 4;
const BETWEEN_LOOKS_MS = 300;

export async function check(task: CheckTask): Promise<OfflineOutcome> {
  let look = look1(task);
  for (let looks = 1; looks < LOOKS_MAX && look.serverPid !== null && look.findings.length > 0; looks++) {
    await Bun.sleep(BETWEEN_LOOKS_MS);
    look = { ...look1(task), findings: inBoth(look.findings, look1(task).findings) };
  }
  return { kind: "checked", report: look };
}

function look1(task: CheckTask): CheckReport {
  const paths = storePaths(task.stateDir);
  const serverPid = serverOn(task.stateDir);
  const findings = new Findings();
  if (existsSync(paths.directory)) {
    checkFiles(paths, findings, serverPid !== null);
    const state = checkState(paths, findings, serverPid !== null);
    if (state !== null) checkRuns(paths, state, findings);
  } else {
    findings.attention("no-state", { directory: paths.directory });
  }
  checkLogFolder(task.logDir, findings);
  checkKnownHosts(task, findings);
  return { stateDir: paths.directory, serverPid, findings: findings.all, checked: findings.checked };
}

/** What was there at both looks: the rest was a server at work. */
function inBoth(first: readonly Finding[], second: readonly Finding[]): readonly Finding[] {
  const known = new Set(first.map((finding) => JSON.stringify(finding)));
  return second.filter((finding) => known.has(JSON.stringify(finding)));
}
