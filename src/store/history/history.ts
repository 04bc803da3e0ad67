/**
 * The jobs that have ended, in blocks on disk; the last few blocks that were read stay in memory, so start-up
 * and memory do not grow with the past. It never decides what belongs to the past.
 *
 * A forgotten job is hidden at once and taken out of its block at the next write: the journal still says that
 * it was forgotten for as long as the block has not been written.
 */
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Job } from "../../core/job.ts";
import { writeDocument } from "../snapshot/document.ts";
import { asStoreError, systemCode } from "../store-error.ts";
import { type Block, blockFooter, blockOf, encodeBlock } from "./block-codec.ts";
import { StoredBlock } from "./stored-block.ts";

const BLOCK_NAME = /^(\d{6,})\.toml$/;
/** About 1 MB each when full, and 2 MB more when all its jobs were asked for. */
const BLOCKS_KEPT = 4;
/** Jobs are decoded for so long; then others get their turn. */
const SLICE_MS = 3;

export class History {
  /** In the order of their use, the latest last. */
  private readonly kept = new Map<number, StoredBlock>();
  private readonly reading = new Map<number, Promise<StoredBlock>>();
  /** Blocks written so far: what was read while one was is read again. */
  private blocksWritten = 0;
  /** Jobs that are in their blocks just as they are. */
  private readonly stored = new WeakSet<Job>();
  private readonly forgotten = new Set<number>();
  private writing: Promise<void> = Promise.resolve();

  constructor(private readonly folder: string) {}

  /**
   * Those of the jobs that the past knows. Name them together: each block is read once.
   * @throws StoreError "damaged" or "newer-format" naming the block
   */
  async read(jids: Iterable<number>): Promise<Map<number, Job>> {
    const found = new Map<number, Job>();
    for (const [number, members] of Map.groupBy(jids, blockOf)) {
      for (const [jid, job] of await decoded(await this.block(number), members)) found.set(jid, job);
    }
    // Forgotten ones last: some may have been while others were read.
    for (const jid of found.keys()) if (this.forgotten.has(jid)) found.delete(jid);
    return found;
  }

  /**
   * Puts ended jobs into their blocks, in the place of what the blocks had of them, and takes forgotten ones out.
   * Resolves when all of it is on stable storage.
   * @param sequence the last journal record whose effect is in the jobs
   */
  write(jobs: readonly Job[], sequence: number): Promise<void> {
    const written = this.writing.then(() => this.writeNow(jobs, sequence));
    // A failure is the caller's to report; the next write begins anew.
    this.writing = written.catch(() => undefined);
    return written;
  }

  /** Hides the jobs from now on; durable because the journal has the event, and later by the next write. */
  remove(jids: Iterable<number>): void {
    for (const jid of jids) this.forgotten.add(jid);
  }

  /** The number of the highest block, or -1. */
  highestBlock(): number {
    return highestBlockIn(this.folder);
  }

  private async writeNow(jobs: readonly Job[], sequence: number): Promise<void> {
    const byBlock = Map.groupBy(jobs, (job) => blockOf(job.jid));
    const forgotten = [...this.forgotten];
    for (const jid of forgotten) {
      const number = blockOf(jid);
      if (!byBlock.has(number)) byBlock.set(number, []);
    }
    for (const number of [...byBlock.keys()].sort((a, b) => a - b)) await this.writeBlock(number, byBlock.get(number) ?? [], sequence);
    for (const jid of forgotten) this.forgotten.delete(jid);
  }

  private async writeBlock(number: number, jobs: readonly Job[], sequence: number): Promise<void> {
    const before = await this.block(number);
    const forgotten = [...before.jids()].filter((jid) => this.forgotten.has(jid));
    const isStored = (job: Job): boolean => this.stored.has(job) || (before.isDecoded(job.jid) && before.get(job.jid) === job);
    if (forgotten.length === 0 && jobs.every(isStored)) return;
    const merged = await decoded(before, before.jids());
    for (const job of jobs) merged.set(job.jid, job);
    for (const jid of this.forgotten) merged.delete(jid);
    const block: Block = { number, sequence: Math.max(sequence, before.sequence), jobs: merged };
    await writeDocument(this.pathOf(number), encodeBlock(block), () => blockFooter(block));
    this.blocksWritten++;
    this.kept.delete(number);
    this.reading.delete(number);
    for (const job of jobs) this.stored.add(job);
  }

  private async block(number: number): Promise<StoredBlock> {
    const known = this.kept.get(number);
    if (known !== undefined) {
      this.keep(known);
      return known;
    }
    const underWay = this.reading.get(number);
    if (underWay !== undefined) return await underWay;
    const reading = this.readBlock(number);
    this.reading.set(number, reading);
    try {
      return await reading;
    } finally {
      if (this.reading.get(number) === reading) this.reading.delete(number);
    }
  }

  private async readBlock(number: number): Promise<StoredBlock> {
    const path = this.pathOf(number);
    for (;;) {
      const { blocksWritten } = this;
      const bytes = await bytesOf(path);
      if (blocksWritten !== this.blocksWritten) continue;
      if (bytes === null) return StoredBlock.none(number);
      const block = StoredBlock.read(bytes, path, number);
      this.keep(block);
      return block;
    }
  }

  private keep(block: StoredBlock): void {
    this.kept.delete(block.number);
    this.kept.set(block.number, block);
    const oldest = this.kept.keys().next();
    if (this.kept.size > BLOCKS_KEPT && oldest.done !== true) this.kept.delete(oldest.value);
  }

  private pathOf(number: number): string {
    return join(this.folder, `${String(number).padStart(6, "0")}.toml`);
  }
}

/** By names alone: the blocks are not read. */
export function highestBlockIn(folder: string): number {
  if (!existsSync(folder)) return -1;
  return readdirSync(folder).reduce((highest, name) => Math.max(highest, Number(BLOCK_NAME.exec(name)?.[1] ?? -1)), -1);
}

/** null: there is no such file. */
async function bytesOf(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw asStoreError(error, path);
  }
}

/** Those of the jobs that the block has. Many take a while: others get their turn meanwhile. */
async function decoded(block: StoredBlock, jids: Iterable<number>): Promise<Map<number, Job>> {
  const found = new Map<number, Job>();
  let began = performance.now();
  for (const jid of jids) {
    if (!block.isDecoded(jid) && performance.now() - began > SLICE_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      began = performance.now();
    }
    const job = block.get(jid);
    if (job !== undefined) found.set(jid, job);
  }
  return found;
}
