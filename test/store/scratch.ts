/** A folder of its own for a test, the files in it as values, and small events to put there. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Event } from "../../src/core/event.ts";
import type { JobSpec } from "../../src/core/job.ts";

export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), "expjobserver-store-"));

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Every file below a folder with its content: equal before and after means that nothing was touched. */
export function contents(folder: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(folder, entry);
    found.set(entry, statSync(path).isDirectory() ? "folder" : readFileSync(path, "latin1"));
  }
  return found;
}

/** Sets the variable `n`: small, always legal, and its last value tells how far a replay went. */
export function numbered(value: number): Event {
  return { kind: "variable-set", variable: { kind: "plain", name: "n", value: String(value) } };
}

export function spec(cmd: string): JobSpec {
  return { kind: "job", class: "x", cmd, copyTo: null, retry: null, notify: false, variables: {}, secrets: [] };
}

export function jobsAdded(first: number, count: number): Event {
  return { kind: "jobs-added", at: 1_800_000_000_000, first, count, spec: spec("run"), timeoutSeconds: null, tag: null };
}

/** The job runs on machine `m`, which must be in the pool, and ends. */
export function jobDone(jid: number): readonly Event[] {
  const at = 1_800_000_000_000;
  return [
    { kind: "job-starting", at, jid, run: { runId: `r${jid}`, machine: "m", log: "/l", errLog: "/e" }, bootId: null },
    { kind: "job-started", at: at + 1, jid },
    { kind: "job-done", at: at + 2, jid, prefixes: [], results: null, warning: null },
  ];
}
