/**
 * What stands in for the system below the modules under test: one world at a time. The modules that take the place of
 * node:fs, node:crypto, the lock and the clock (see install.ts) look here.
 */
import { drainMicrotasks } from "bun:jsc";
import { Dice } from "./dice.ts";
import { SimulatedDisk } from "./disk.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface Stage {
  time: VirtualTime;
  disk: SimulatedDisk;
  dice: Dice;
  /** The daemon that is going on now holds the lock. */
  locked: boolean;
  /** What a job printed: its RESULTS prefixes, by log. */
  printed: Map<string, readonly string[]>;
}

export function emptyStage(seed: number): Stage {
  const dice = new Dice(seed);
  const time = new VirtualTime();
  return { time, dice, disk: new SimulatedDisk(dice), locked: false, printed: new Map() };
}

export const stage: Stage = emptyStage(0);

/** Begins another world. */
export function setStage(seed: number): Stage {
  // The last thoughts of the one before are not for this one.
  drainMicrotasks();
  return Object.assign(stage, emptyStage(seed));
}
