/** Seeds of the simulation that once failed, and what they found. They run before all others, for ever. */
export const REGRESSIONS: readonly (readonly [seed: number, found: string])[] = [
  [734, "a job that was forgotten came back with a command that had read it before"],
  [5436, "a record whose sync had failed was taken for durable by the process after"],
];
