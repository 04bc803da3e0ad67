/**
 * Moments that a storm meets once in a thousand seeds, each by itself: the store alone, on the simulated disk, with many
 * seeds of what the power cut leaves.
 */
import { applyAll } from "../../../src/core/apply.ts";
import type { Event } from "../../../src/core/event.ts";
import { problem } from "../../../src/core/problem.ts";
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
  /** A block may have its new name in memory only when its writer dies. Whoever reads it must not take it for written. */
  "kill while a forgotten job leaves its block, power cut": async () => {
    const first = await opened();
    const past = [job(0), { kind: "job-canceled", at: 0, jid: 0, exitCode: null, problem: problem("canceled") }] satisfies Event[];
    await first.snapshot(applyAll(first.state, past), await first.append(past));
    const forgotten: Event[] = [{ kind: "job-forgotten", jid: 0 }];
    const sequence = await first.append(forgotten);
    stage.disk.callsLeft = 1 + stage.dice.below(30);
    const cut = first.snapshot(applyAll(first.state, [...past, ...forgotten]), sequence);
    void cut.catch(() => undefined);
    while (!stage.disk.frozen && stage.time.step());
    died("kill");
    const second = await opened();
    const more = tag(second.state.nextId);
    await second.snapshot(applyAll(second.state, [more]), await second.append([more]));
    died("power");
    const third = await opened();
    if ((await third.history.read([0])).has(0)) throw new Error("job 0 was forgotten, and is there");
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

function job(jid: number): Event {
  const spec = { kind: "job", class: "near", cmd: "work", copyTo: null, retry: null, notify: false, variables: {}, secrets: [] } as const;
  return { kind: "jobs-added", at: 0, first: jid, count: 1, spec, timeoutSeconds: null, tag: null };
}

function tag(id: number): Event {
  return { kind: "tag-added", at: 0, id };
}
