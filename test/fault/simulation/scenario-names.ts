/** What scenarios.ts can play: for who starts it and must not load it, because it needs the simulated system below it. */
export const SCENARIO_NAMES = ["failed sync, kill, power cut", "kill while a forgotten job leaves its block, power cut"] as const;
