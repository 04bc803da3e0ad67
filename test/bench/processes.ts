/** What the kernel says of processes: who is below whom, what memory and processor they use, how often they wake. */
import { readdirSync, readFileSync } from "node:fs";

/** All processes below one, at any depth. */
export function childrenOf(pid: number): readonly number[] {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(fieldsOf(Number(name))[1] ?? -1);
    parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (let waiting = [pid]; waiting.length > 0; ) {
    const next = waiting.flatMap((one) => parents.get(one) ?? []);
    found.push(...next);
    waiting = next;
  }
  return found;
}

/** Proportional share of pages, MB (10^6 bytes); 0 for one that is gone. */
export function memoryShareMb(pid: number): number {
  return (Number(/^Pss:\s+(\d+) kB$/m.exec(textOf(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1_024) / 1e6;
}

export function nameOf(pid: number): string {
  return textOf(`/proc/${pid}/comm`).trim();
}

interface Activity {
  readonly processorMs: number;
  readonly wakeUps: number;
}

/** Of each thread, since its start. */
export function activityOf(pid: number): ReadonlyMap<string, Activity> {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread): [string, Activity] => {
    // The first field is the time on a processor, in nanoseconds; a tick of /proc/PID/stat is 10 ms.
    const processorMs = Number(textOf(`/proc/${pid}/task/${thread}/schedstat`).split(" ", 1)[0] ?? 0) / 1e6;
    const wakeUps = Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(textOf(`/proc/${pid}/task/${thread}/status`))?.[1] ?? 0);
    return [thread, { processorMs, wakeUps }];
  });
  return new Map(threads);
}

/** What all threads did in between; one that has ended takes its share with it. */
export function activityBetween(before: ReadonlyMap<string, Activity>, after: ReadonlyMap<string, Activity>): Activity {
  let processorMs = 0;
  let wakeUps = 0;
  for (const [thread, now] of after) {
    const then = before.get(thread);
    processorMs += now.processorMs - (then?.processorMs ?? 0);
    wakeUps += now.wakeUps - (then?.wakeUps ?? 0);
  }
  return { processorMs, wakeUps };
}

/** State, parent, group, … as proc(5) has them after the name. */
function fieldsOf(pid: number): readonly string[] {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(") ") + 2).split(" ");
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // It ended meanwhile.
    return "";
  }
}
