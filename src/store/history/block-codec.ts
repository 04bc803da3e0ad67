/**
 * A history block, format 1: `history/NNNNNN.toml` holds the ended jobs with ids from NNNNNN x 1,000 on, those
 * that are known. The document of snapshot/document.ts with
 *
 *   format, block, sequence   the last journal record whose effect on these jobs is in it
 *   [[jobs]]                  as in the snapshot, in ascending order; `jid` is the first line of each
 *   [[specs]]                 as in the snapshot, numbered for this block; `id` is the first line of each
 *
 * No line within a text begins a table: texts are written in one line. So a reader can find a table without reading
 * the others; stored-block.ts does.
 */
import { stringify } from "smol-toml";
import type { Job } from "../../core/job.ts";
import type { Footer } from "../snapshot/document.ts";
import { encodeJobs } from "../snapshot/job-codec.ts";
import { SpecNumbers } from "../snapshot/spec-codec.ts";
import { section } from "../snapshot/state-codec.ts";

export const BLOCK_FORMAT = 1;
export const JOBS_PER_BLOCK = 1_000;

const HEADER = "# Ended jobs of expjobserver, 1,000 ids a file. The last line vouches for all before it.\n";

export interface Block {
  readonly number: number;
  readonly sequence: number;
  readonly jobs: ReadonlyMap<number, Job>;
}

export function blockOf(jid: number): number {
  return Math.floor(jid / JOBS_PER_BLOCK);
}

export function* encodeBlock(block: Block): Generator<string> {
  const specs = new SpecNumbers();
  const jobs = [...block.jobs.values()].sort((a, b) => a.jid - b.jid);
  yield HEADER;
  yield stringify({ format: BLOCK_FORMAT, block: block.number, sequence: block.sequence });
  yield* section(
    "jobs",
    encodeJobs(jobs, (spec) => specs.numberOf(spec)),
  );
  yield* section("specs", specs.tables());
}

export function blockFooter(block: Block): Footer {
  return { sequence: block.sequence, jobs: block.jobs.size };
}
