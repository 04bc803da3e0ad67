/**
 * Moments that a storm meets once in a thousand seeds, each by itself: the store alone, on the simulated disk, with many
 * seeds of what the power cut leaves.
 */
import type { Event } from "../../../src/core/event.ts";
import { openStore } from "../../../src/store/recovery.ts";
import type { Store } from "../../../src/store/store.ts";
import { SCENARIO_NAMES } from "./scenario-names.ts";
import { setStage, stage } from "./stage.ts";

const SCENARIOS: Readonly<Record<(typeof SCENARIO_NAMES)[number], () => Promise<void>>> = {
  /** The kernel takes what a sync could not write for written. What the next process reads of it and goes on from must be on the disk. */
  "failed sync, kill, power cut": async () => {
    const first = await opened();
    await first.append([tag(0)]);
    stage.disk.syncFails = true;
    // The process is killed when it hears of the failure: before it can cut the record off.
    const refused = first.append([tag(1)]);
    void refused.catch(() => undefined);
    while (stage.disk.syncFails) stage.time.step();
    died("kill");
    const second = await opened();
    await second.append([tag(second.state.nextId)]);
    died("power");
    const third = await opened();
    if (third.sequence !== second.sequence) throw new Error(`record ${second.sequence} was acknowledged, ${third.sequence} is there`);
  },
};

/** @returns what went wrong, or null */
export function runScenario(name: string, seed: number): string | null {
  setStage(seed);
  let outcome: { readonly problem: string | null } | null = null;
  const known = SCENARIO_NAMES.find((candidate) => candidate === name);
  if (known === undefined) return `there is no scenario ${name}`;
  SCENARIOS[known]().then(
    () => {
      outcome = { problem: null };
    },
    (error: unknown) => {
      outcome = { problem: String(error) };
    },
  );
  while (outcome === null && stage.time.step());
  return outcome === null ? "it has no end" : (outcome as { readonly problem: string | null }).problem;
}

function opened(): Promise<Store> {
  return openStore("/sim/state", { allowSnapshotFailure: false, allowNetworkFileSystem: false, highestIdInLogs: () => -1, now: Date.now });
}

function died(how: "kill" | "power"): void {
  stage.time.dropDaemon();
  stage.locked = false;
  if (how === "kill") stage.disk.afterKill();
  else stage.disk.afterPowerCut();
}

function tag(id: number): Event {
  return { kind: "tag-added", at: 0, id };
}
