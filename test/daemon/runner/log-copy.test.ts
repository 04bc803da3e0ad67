/** The log of a run that ends in the moment in which its follower begins. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalMachineShell } from "../../../src/daemon/local-shell.ts";
import type { MachineShell, ShellProcess } from "../../../src/daemon/machine-shell.ts";
import { FollowerPlaces } from "../../../src/daemon/runner/follower-places.ts";
import { LogCopy } from "../../../src/daemon/runner/log-copy.ts";
import { waitFor } from "../../support/wait-for.ts";

/** More turns than there are between the opening of a channel and its use. */
const TURNS = 12;

for (let turns = 0; turns < TURNS; turns++) {
  test(`an end ${turns} turns after the follower's channel has opened is not waited for without end`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "expjob-follow-"));
    const log = { stdout: join(folder, "log"), stderr: join(folder, "log.err") };
    const opening = Promise.withResolvers<ShellProcess>();
    const asked = Promise.withResolvers<void>();
    const local = new LocalMachineShell("local");
    // A channel that opens when it is told to; what is executed on it is real.
    const shell: MachineShell = {
      machine: "local",
      run: () => {
        asked.resolve();
        return opening.promise;
      },
    };
    const copy = new LogCopy({ shell, directory: folder, log, base: null, umask: null, places: new FollowerPlaces() });
    const follower = await local.run("read -r rest; exit 0", { keepInputOpen: true });
    try {
      copy.follow();
      await asked.promise;
      opening.resolve(follower);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      let problem: unknown = "not yet";
      const completing = copy
        .complete({ outBytes: 3, errBytes: 0, inline: { out: Buffer.from("out"), err: Buffer.alloc(0) }, exitLine: "exit 0 1.0.r end" })
        .then((found) => {
          problem = found;
        });
      await waitFor(() => problem !== "not yet", { what: () => "the whole log", timeoutMs: 4_000 });
      await completing;
      expect([problem, readFileSync(log.stdout, "utf8")]).toEqual([null, "out"]);
    } finally {
      follower.kill();
      await copy.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
