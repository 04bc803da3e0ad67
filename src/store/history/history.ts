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
import { type Block, blockFooter, blockOf, decodeBlock, encodeBlock } from "./block-codec.ts";

const BLOCK_NAME = /^(\d{6,})\.toml$/;
/** About 2 MB each when full. */
const BLOCKS_KEPT = 16;

export class History {
  /** In the order of their use, the latest last. */
  private readonly kept = new Map<number, Block>();
  private readonly reading = new Map<number, Promise<Block>>();
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
      const block = await this.block(number);
      for (const jid of members) {
        const job = block.jobs.get(jid);
        if (job !== undefined && !this.forgotten.has(jid)) found.set(jid, job);
      }
    }
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
    for (const number of [...byBlock.keys()].sort((a, b) => a - b)) {
      const before = await this.block(number);
      const merged = new Map(before.jobs);
      for (const job of byBlock.get(number) ?? []) merged.set(job.jid, job);
      for (const jid of forgotten) merged.delete(jid);
      if (sameJobs(before.jobs, merged)) continue;
      const block: Block = { number, sequence: Math.max(sequence, before.sequence), jobs: merged };
      await writeDocument(this.pathOf(number), encodeBlock(block), () => blockFooter(block));
      this.keep(block);
    }
    for (const jid of forgotten) this.forgotten.delete(jid);
  }

  private async block(number: number): Promise<Block> {
    const known = this.kept.get(number);
    if (known !== undefined) {
      this.keep(known);
      return known;
    }
    let reading = this.reading.get(number);
    if (reading === undefined) {
      reading = this.readBlock(number);
      this.reading.set(number, reading);
    }
    try {
      return await reading;
    } finally {
      this.reading.delete(number);
    }
  }

  private async readBlock(number: number): Promise<Block> {
    const path = this.pathOf(number);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return { number, sequence: 0, jobs: new Map() };
      throw asStoreError(error, path);
    }
    const block = decodeBlock(bytes, path, number);
    // A write may have been faster: what it left is newer.
    const newer = this.kept.get(number);
    if (newer !== undefined) return newer;
    this.keep(block);
    return block;
  }

  private keep(block: Block): void {
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

function sameJobs(before: ReadonlyMap<number, Job>, after: ReadonlyMap<number, Job>): boolean {
  if (before.size !== after.size) return false;
  for (const [jid, job] of after) if (before.get(jid) !== job) return false;
  return true;
}
