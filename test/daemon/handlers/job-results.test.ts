/** `job.take-results`: which jobs are meant, and what is refused before anything is done. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { WireTaken } from "../../../src/protocol/methods/job-results.ts";
import type { Result } from "../../../src/protocol/methods.ts";
import type { Selector } from "../../../src/protocol/selector.ts";
import { Desk, ids } from "./desk.ts";

async function take(desk: Desk, selectors: readonly Selector[], to: string): Promise<Result<"job.take-results"> & { taken: WireTaken[] }> {
  const taken: WireTaken[] = [];
  const result = await desk.call(
    "job.take-results",
    { ids: [...selectors], to, mode: "copy" },
    { emit: async (chunk) => void taken.push(chunk as WireTaken) },
  );
  return { ...result, taken: taken.toSorted((one, other) => one.jid - other.jid) };
}

/** Job 0 has ended, 1 was canceled before it started, 2 runs. */
async function threeJobs(): Promise<Desk> {
  const desk = await Desk.open();
  const { daemon } = desk;
  await daemon.pool("x", "far");
  const { jid, runId } = await daemon.running();
  daemon.printed(jid, "text\n");
  await Bun.write(daemon.run(jid).errLog, "");
  daemon.hosts.finish(runId, 3);
  await daemon.until(jid, "failed");
  await daemon.cancel(await daemon.add({ class: "nowhere" }));
  await daemon.running();
  return desk;
}

describe("job.take-results", () => {
  test("takes the jobs that have ended; of those named one by one the others are refused, of sets they are told", async () => {
    await using desk = await threeJobs();
    const to = join(desk.daemon.folder, "new");
    const named = await take(desk, ids(0, 1, 2, 9), to);
    expect(named.taken.map(({ jid, log, problems }) => [jid, log, problems])).toEqual([[0, join(to, "0-log"), []]]);
    expect(named).toMatchObject({
      missing: [9],
      not_ended: [],
      failed: [
        { id: 1, code: "nothing-to-copy" },
        { id: 2, code: "job-not-ended" },
      ],
    });
    const range = await take(desk, [{ kind: "range", first: 0, last: 5 }], to);
    expect(range.taken.map(({ jid }) => jid)).toEqual([0]);
    expect(range).toMatchObject({ missing: [], not_ended: [2], failed: [] });
  });

  test("refuses a secret in the name of a folder before anything is made", async () => {
    await using desk = await threeJobs();
    await desk.call("variable.set", { name: "KEY", value: "canary-51c", secret: true });
    const to = join(desk.daemon.folder, "new-{KEY}");
    expect(take(desk, ids(0), to)).rejects.toMatchObject({ code: "bad-placeholder", data: { name: "KEY" } });
    expect(existsSync(join(desk.daemon.folder, "new-{KEY}"))).toBe(false);
  });

  test("puts in what the job knows, then what is set now; a name that nothing defines stays, with a warning", async () => {
    await using desk = await threeJobs();
    await desk.call("variable.set", { name: "YEAR", value: "2026", secret: false });
    const { taken, warnings } = await take(desk, ids(0), join(desk.daemon.folder, "{YEAR}/{MACHINE}/{JID}/{NOBODY}"));
    expect(taken[0]?.log).toBe(join(desk.daemon.folder, "2026/far/0/{NOBODY}/0-log"));
    expect(warnings).toEqual([{ code: "placeholder-undefined", data: { name: "NOBODY" } }]);
  });

  test("ends with its reader, and gives up what has not begun", async () => {
    await using desk = await threeJobs();
    const gone = AbortSignal.abort(new Error("gone"));
    const call = desk.call("job.take-results", { ids: ids(0), to: join(desk.daemon.folder, "new"), mode: "move" }, { signal: gone });
    expect(call).rejects.toThrow("gone");
    expect(existsSync(join(desk.daemon.folder, "0-log"))).toBe(true);
  });
});
