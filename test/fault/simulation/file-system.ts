/** Takes the place of node:fs below the store: the same names, on the simulated disk. */
import { constants } from "node:fs";
import { dirname } from "node:path";
import { stage } from "./stage.ts";

export { constants };

type Done = (error: Error | null) => void;

export function openSync(path: string, flags: number, mode?: number): number {
  stage.disk.tick();
  return stage.disk.openFile(path, flags, mode);
}

export function closeSync(descriptor: number): void {
  stage.disk.tick();
  stage.disk.close(descriptor);
}

export function readSync(descriptor: number, target: Uint8Array, offset: number, _length: number, position: number): number {
  stage.disk.tick();
  return stage.disk.readAt(descriptor, target, offset, position);
}

export function writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position: number | null): number {
  stage.disk.tick();
  return stage.disk.write(descriptor, bytes.subarray(offset, offset + length), position);
}

export function ftruncateSync(descriptor: number, length: number): void {
  stage.disk.tick();
  stage.disk.truncate(descriptor, length);
}

export function fsyncSync(descriptor: number): void {
  stage.disk.tick();
  stage.disk.sync(descriptor)();
}

export function fsync(descriptor: number, done: Done): void {
  later(descriptor, done);
}

export function fdatasync(descriptor: number, done: Done): void {
  later(descriptor, done);
}

export function fchmodSync(descriptor: number, mode: number): void {
  stage.disk.tick();
  stage.disk.setMode(descriptor, mode);
}

export function chmodSync(path: string, mode: number): void {
  stage.disk.tick();
  stage.disk.setMode(path, mode);
}

export function existsSync(path: string): boolean {
  stage.disk.tick();
  return stage.disk.find(path) !== undefined;
}

export function readdirSync(path: string): string[] {
  stage.disk.tick();
  return stage.disk.list(path);
}

export function readFileSync(path: string, encoding?: "utf8"): Buffer | string {
  stage.disk.tick();
  const bytes = stage.disk.read(path);
  return encoding === undefined ? bytes : bytes.toString(encoding);
}

/** @returns the highest folder that was made */
export function mkdirSync(path: string, { recursive = false }: { recursive?: boolean; mode?: number } = {}): string | undefined {
  stage.disk.tick();
  const above = recursive && path !== "/" ? mkdirSync(dirname(path), { recursive }) : undefined;
  return stage.disk.makeFolder(path) ? (above ?? path) : above;
}

export function statSync(path: string): { readonly uid: number; readonly size: number; isDirectory(): boolean } {
  stage.disk.tick();
  const node = stage.disk.find(path);
  if (node === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
  return {
    uid: process.getuid?.() ?? 0,
    size: node.kind === "file" ? node.seen.length : 0,
    isDirectory: () => node.kind === "folder",
  };
}

/** What is synced is what is there when it begins; it is done when it ends. */
function later(descriptor: number, done: Done): void {
  stage.disk.tick();
  const finish = stage.disk.sync(descriptor);
  stage.time.after(stage.dice.delayMs(0.02, 20), "daemon", () => {
    try {
      stage.disk.tick();
      finish();
    } catch (error) {
      if (stage.disk.frozen) return;
      done(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done(null);
  });
}
