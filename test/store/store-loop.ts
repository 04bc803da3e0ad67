/**
 * A process that does what the engine does with a store, as fast as it can: queues jobs, ends them, archives
 * them, takes snapshots while it goes on. For tests that kill it. Arguments: folder, rounds (0: until killed).
 * Prints `ack JID` when job JID is durable, and `end` before a clean stop.
 */
import { writeSync } from "node:fs";
import { applyAll } from "../../src/core/apply.ts";
import type { Event } from "../../src/core/event.ts";
import { machineAt } from "../../src/core/state.ts";
import { openStore } from "../../src/store/recovery.ts";
import { jobDone, jobsAdded } from "./scratch.ts";

const [folder = "", rounds = "0"] = process.argv.slice(2);
const store = await openStore(folder, {
  allowSnapshotFailure: false,
  allowNetworkFileSystem: true,
  highestIdInLogs: () => -1,
  now: Date.now,
});
let state = store.state;
let snapshot: Promise<void> = Promise.resolve();

if (machineAt(state, "m") === undefined) await append([{ kind: "machines-added", at: 1, addrs: ["m"], class: "x" }]);
for (let round = 1; rounds === "0" || round <= Number(rounds); round++) {
  const jid = state.nextId;
  await append([jobsAdded(jid, 1)]);
  writeSync(1, `ack ${jid}\n`);
  if (round % 3 !== 0) await append(jobDone(jid));
  if (round % 8 === 0) {
    await snapshot;
    snapshot = takeSnapshot();
  }
}
await snapshot;
await store.close({ state, sequence: store.sequence });
writeSync(1, "end\n");

async function append(events: readonly Event[]): Promise<void> {
  await store.append(events);
  state = applyAll(state, events);
}

async function takeSnapshot(): Promise<void> {
  const ended = await store.snapshot(state, store.sequence);
  const jids = ended.filter((job) => state.jobs.get(job.jid) === job).map((job) => job.jid);
  const event: Event = { kind: "jobs-archived", jids, requestsBefore: 0 };
  const archived = store.append([event]);
  state = applyAll(state, [event]);
  await archived;
}
