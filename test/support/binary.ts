/**
 * The executable for end-to-end tests. It is built once for all test files, in dist/, whoever asks first;
 * the others wait for a kernel lock, which a killed process cannot leave behind.
 */
import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { binaryPath, buildBinary, isBinaryCurrent } from "../../scripts/build-binary.ts";

export interface TestBinary {
  /** Absolute path of the executable. */
  readonly expjobserver: string;
  /** Absolute path of the symlink beside it, under whose name it is the client. */
  readonly j: string;
}

/** Longer than any build: whoever waits this long waits for something that hangs. */
const lockWaitMs = 120_000;

let building: Promise<TestBinary> | undefined;

/** Builds the sources as they are now unless dist/ has them already; the same promise for every caller in a process. */
export function buildTestBinary(): Promise<TestBinary> {
  building ??= buildUnderLock();
  return building;
}

async function buildUnderLock(): Promise<TestBinary> {
  const folder = dirname(binaryPath());
  // Without a lock: a user who may not write here can still test what was built.
  if (await isBinaryCurrent()) return { expjobserver: binaryPath(), j: join(folder, "j") };
  mkdirSync(folder, { recursive: true });
  const lock = new Database(join(folder, ".build-lock"), { create: true });
  try {
    lock.run(`PRAGMA busy_timeout = ${lockWaitMs}`);
    lock.run("BEGIN EXCLUSIVE");
    const { expjobserver, j } = await buildBinary();
    return { expjobserver, j };
  } finally {
    lock.close();
  }
}
