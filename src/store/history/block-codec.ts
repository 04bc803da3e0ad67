/**
 * A history block, format 1: `history/NNNNNN.toml` holds the ended jobs with ids from NNNNNN x 1,000 on, those
 * that are known. The document of snapshot/document.ts with
 *
 *   format, block, sequence   the last journal record whose effect on these jobs is in it
 *   [[jobs]]                  as in the snapshot, in ascending order
 *   [[specs]]                 as in the snapshot, numbered for this block
 */
import { stringify } from "smol-toml";
import * as v from "valibot";
import { isEnded, type Job } from "../../core/job.ts";
import { type Footer, readDocument, refused } from "../snapshot/document.ts";
import { encodeJobs, jobSchema } from "../snapshot/job-codec.ts";
import { integer } from "../snapshot/scalar-codec.ts";
import { SpecNumbers, specSchema } from "../snapshot/spec-codec.ts";
import { decodeAllJobs, issueText, section } from "../snapshot/state-codec.ts";
import { StoreError } from "../store-error.ts";

export const BLOCK_FORMAT = 1;
export const JOBS_PER_BLOCK = 1_000;

const HEADER = "# Ended jobs of expjobserver, 1,000 ids a file. The last line vouches for all before it.\n";

const blockSchema = v.strictObject({
  format: v.literal(BLOCK_FORMAT),
  block: integer,
  sequence: integer,
  jobs: v.optional(v.array(jobSchema), []),
  specs: v.optional(v.array(specSchema), []),
});

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

/** @throws StoreError "damaged" or "newer-format" */
export function decodeBlock(bytes: Buffer, file: string, number: number): Block {
  const document = readDocument(bytes, BLOCK_FORMAT);
  if (document.kind !== "document") throw refused(file, document);
  const damaged = (reason: string) => new StoreError("damaged", { file, offset: 0, reason });
  const parsed = v.safeParse(blockSchema, document.content, { abortEarly: true });
  if (!parsed.success) throw damaged(issueText(parsed.issues[0]));
  const { block, sequence, jobs: tables, specs } = parsed.output;
  if (block !== number || sequence !== document.footer.sequence) throw damaged("block or sequence: not that of the name and footer");
  const decoded = decodeAllJobs(tables, specs);
  if (typeof decoded === "string") throw damaged(decoded);
  const jobs = new Map(decoded);
  if (jobs.size !== document.footer.jobs) throw damaged("jobs: not as many as the footer says");
  for (const job of jobs.values()) {
    if (blockOf(job.jid) !== number || !isEnded(job.state)) throw damaged(`jobs: job ${job.jid} does not belong here`);
  }
  return { number, sequence, jobs };
}
