/**
 * Puts the simulated system below the modules of the daemon: their imports of node:fs, node:crypto and the lock lead to
 * the stand-ins beside this file, and the clock, timers and chance of the process are those of the stage. For a process
 * that does nothing else: main.ts. To be called before anything of src/store or src/daemon is imported.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stage } from "./stage.ts";

const standIns: readonly (readonly [specifier: RegExp, file: string])[] = [
  [/"node:fs"/g, "file-system.ts"],
  [/"node:fs\/promises"/g, "file-system-promises.ts"],
  [/"node:crypto"/g, "crypto.ts"],
  [/"\.\/lock\.ts"/g, "lock.ts"],
  [/"\.\/network-file-system\.ts"/g, "network-file-system.ts"],
  [/"\.\/runner\/results-lines\.ts"/g, "results-lines.ts"],
];

export function install(): void {
  Bun.plugin({
    name: "simulated system",
    setup: (build) => {
      build.onLoad({ filter: /\/src\/(store\/.*|daemon\/runs)\.ts$/ }, ({ path }) => {
        let contents = readFileSync(path, "utf8");
        for (const [specifier, file] of standIns) contents = contents.replace(specifier, JSON.stringify(join(import.meta.dir, file)));
        return { contents, loader: "ts" };
      });
    },
  });
  const after = (delayMs: number, call: () => void) => stage.time.after(delayMs, "daemon", call);
  const cancel = (alarm: ReturnType<typeof after> | null | undefined) => {
    if (alarm !== null && alarm !== undefined) stage.time.cancel(alarm);
  };
  Object.assign(globalThis, {
    setTimeout: (call: () => void, delayMs = 0) => after(delayMs, call),
    setImmediate: (call: () => void) => after(0, call),
    clearTimeout: cancel,
    clearImmediate: cancel,
  });
  Object.assign(Date, { now: () => Math.floor(stage.time.now) });
  Object.assign(Math, { random: () => stage.dice.number() });
  // Each look takes a while: documents are written in pieces.
  Object.assign(performance, { now: () => stage.time.now + stage.dice.below(6) });
  Object.assign(Bun, { sleep: (delayMs: number) => new Promise<void>((resolve) => after(delayMs, resolve)) });
}
