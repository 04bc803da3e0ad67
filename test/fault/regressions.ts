/** Seeds of the simulation that once failed, and what they found. They run before all others, for ever. */
export const REGRESSIONS: readonly (readonly [seed: number, found: string])[] = [
  [4, "a secret that was set beside a removal had a name and no value"],
  [133, "a job that was forgotten came back with a command that had read it before"],
];
