/** The stream of changes: the latest of each job, a gap where something was left out, and no memory for slow readers. */
import { expect, test } from "bun:test";
import type { Chunk } from "../../../src/protocol/methods.ts";
import { waitFor } from "../../support/wait-for.ts";
import { Desk, ids } from "./desk.ts";

function follow(desk: Desk, room: () => Promise<void> = async () => undefined) {
  const seen: Chunk<"events.follow">[] = [];
  const gone = new AbortController();
  const end = desk.call(
    "events.follow",
    {},
    {
      signal: gone.signal,
      emit: async (chunk) => {
        seen.push(chunk as Chunk<"events.follow">);
        await room();
      },
    },
  );
  const statuses = (jid: number) => seen.flatMap((chunk) => (chunk.kind === "job" && chunk.job.jid === jid ? [chunk.job.status] : []));
  return { seen, end, statuses, stop: () => gone.abort() };
}

test("a reader hears of each change of a job, of its retry, and of the counts", async () => {
  await using desk = await Desk.open();
  const { daemon } = desk;
  const reader = follow(desk);
  await daemon.pool("x", "m");
  await desk.add("a", { retry: { max_failures: 2 } });
  await daemon.until(0, "running");
  daemon.hosts.finish(daemon.run(0).runId, 1);
  await waitFor(() => reader.statuses(0).includes("failed") && reader.statuses(1).length > 0);
  expect(reader.seen[0]?.kind).toBe("counts");
  expect(reader.seen.some((chunk) => chunk.kind === "gap")).toBe(true);
  reader.stop();
  expect(await reader.end).toEqual({});
});

test("a slow reader gets the latest of each job once, and a gap for what is gone by then", async () => {
  await using desk = await Desk.open();
  const held = Promise.withResolvers<void>();
  const reader = follow(desk, () => held.promise);
  await desk.add("a", { count: 2 });
  for (let turn = 0; turn < 50; turn++) {
    await desk.call("job.hold", { ids: ids(0) });
    await desk.call("job.unhold", { ids: ids(0) });
  }
  await desk.call("job.hold", { ids: ids(0) });
  await desk.call("job.cancel", { ids: ids(1), forget: true });
  const gapsBefore = reader.seen.filter((chunk) => chunk.kind === "gap").length;
  held.resolve();
  await waitFor(() => reader.statuses(0).length > 0);
  await waitFor(() => reader.seen.filter((chunk) => chunk.kind === "gap").length > gapsBefore + 1);
  expect(reader.statuses(0)).toEqual(["held"]);
  reader.stop();
  await reader.end;
});
