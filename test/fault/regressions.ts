/** Seeds of the simulation that once failed, and what they found. They run before all others, for ever. */
export const REGRESSIONS: readonly (readonly [seed: number, found: string])[] = [
  [4, "a secret that was set beside a removal had a name and no value"],
  [133, "a job that was forgotten came back with a command that had read it before"],
  [113997588, "the judge did not know that what a failed sync hid can be seen again, until something is written behind it"],
  [116879874, "nor that of two records which failed in two lives either may be the one that is there"],
  [128619331, "the judge blamed the server for a disk that had failed and was well again by the time that was said"],
  [301016292, "a run that was cut off while the disk was too full to write down that it was found was followed by nobody, for ever"],
  [130006855, "forgotten jobs came back: a killed server's block had its name in memory only, and was taken for written"],
];
