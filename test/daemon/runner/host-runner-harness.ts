/** How the battery opens the runners of this host. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DriverRunner } from "../../../src/daemon/runner/driver.ts";
import type { HostRunsOptions } from "../../../src/daemon/runner/host-runs.ts";
import { LocalRunner } from "../../../src/daemon/runner/local.ts";
import type { Runner } from "../../../src/daemon/runner/runner.ts";
import { runDirectoryName } from "../../../src/store/run-directory-name.ts";
import type { RunnerUnderTest } from "../../contract/runner-test-bed.ts";

export type HostRunnerKind = "local" | "driver";

export function createHostRunner(kind: HostRunnerKind, options: HostRunsOptions): Runner {
  return kind === "local" ? new LocalRunner(options) : new DriverRunner({ ...options, driver: "/bin/sh" });
}

export async function openHostRunner(kind: HostRunnerKind): Promise<RunnerUnderTest> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `expjob-${kind}-`)));
  const base = { PATH: process.env.PATH ?? "/usr/bin:/bin", HOME: folder, TEXT: "a 'b' \"c\" é\nd" };
  const options: HostRunsOptions = {
    root: join(folder, "runs", "server"),
    workDirectory: folder,
    environment: { ...base, BUN_OPTIONS: "--smol", EXPJOB_JID: "stale", EXPJOB_VAR_STALE: "1" },
    warn: (problem) => {
      throw new Error(JSON.stringify(problem));
    },
  };
  const starter = join(import.meta.dir, "host-runner-starter.ts");
  return {
    runner: createHostRunner(kind, options),
    machine: "local",
    executes: true,
    program: (text) => (kind === "local" ? { kind: "shell", text } : { kind: "words", words: ["/bin/sh", "-c", text] }),
    reopen: async () => createHostRunner(kind, options),
    runDirectory: (run) => join(options.root, runDirectoryName(run)),
    workDirectory: folder,
    environment: base,
    starterCommand: [process.execPath, starter, kind, JSON.stringify(options)],
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
