/** Jobs that do nothing, from the queue through machines to their recorded end: the same for local and SSH machines. */
import { type Subject, timed } from "./measure.ts";
import type { BenchServer } from "./server.ts";

interface Passage {
  readonly jobs: number;
  readonly slots: string[];
  readonly end: () => Promise<void>;
}

/**
 * All are queued before the first machine is there: only their passage is timed.
 * @returns jobs a second; processor time a job, ms, of server and jobs together, and of the server alone
 */
export function passage(server: BenchServer, { jobs, slots, end }: Passage): Subject {
  let round = 0;
  return {
    name: "expjobserver",
    once: async () => {
      round += 1;
      const className = `round${round}`;
      const last = (await server.add(className, "true", jobs)) + jobs - 1;
      const before = server.processorTime;
      const durationMs = await timed(async () => {
        await server.addMachines(className, slots);
        await server.drained(last);
      });
      const after = server.processorTime;
      const ownMs = after.ownMs - before.ownMs;
      return [(jobs * 1_000) / durationMs, (ownMs + after.childrenMs - before.childrenMs) / jobs, ownMs / jobs];
    },
    [Symbol.asyncDispose]: end,
  };
}
