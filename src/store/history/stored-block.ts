/**
 * A history block as it lies there: known to be whole, and which jobs are where in it. A job is decoded when somebody
 * asks for it: 1,000 of them take a processor longer than anybody else should have to wait.
 */
import * as v from "valibot";
import { isEnded, type Job, type JobSpec } from "../../core/job.ts";
import { judgeDocument, parseToml, refused } from "../snapshot/document.ts";
import { decodeJobs, jobSchema } from "../snapshot/job-codec.ts";
import { integer } from "../snapshot/scalar-codec.ts";
import { specSchema } from "../snapshot/spec-codec.ts";
import { issueText } from "../snapshot/state-codec.ts";
import { StoreError } from "../store-error.ts";
import { BLOCK_FORMAT, blockOf } from "./block-codec.ts";

const headSchema = v.strictObject({ format: v.literal(BLOCK_FORMAT), block: integer, sequence: integer });
const oneJobSchema = v.strictObject({ jobs: v.strictTuple([jobSchema]) });
const oneSpecSchema = v.strictObject({ specs: v.strictTuple([specSchema]) });

/** A table begins with its number: so it is written, and the footer says that nobody has touched it since. */
const JOBS = { line: Buffer.from("\n[[jobs]]\n"), number: /^jid = (\d+)$/ };
const SPECS = { line: Buffer.from("\n[[specs]]\n"), number: /^id = (\d+)$/ };

/** Where a table is, in bytes. */
interface Place {
  readonly start: number;
  readonly end: number;
}

interface Parts {
  readonly bytes: Buffer;
  readonly file: string;
  readonly number: number;
  readonly sequence: number;
  readonly jobs: ReadonlyMap<number, Place>;
  readonly specs: ReadonlyMap<number, Place>;
}

export class StoredBlock {
  private readonly decoded = new Map<number, Job>();
  private readonly specs = new Map<number, JobSpec>();

  private constructor(private readonly parts: Parts) {}

  /** A block that there is no file of. */
  static none(number: number): StoredBlock {
    return new StoredBlock({ bytes: Buffer.alloc(0), file: "", number, sequence: 0, jobs: new Map(), specs: new Map() });
  }

  /** @throws StoreError "damaged" or "newer-format" */
  static read(bytes: Buffer, file: string, number: number): StoredBlock {
    const document = judgeDocument(bytes, BLOCK_FORMAT);
    if (document.kind !== "whole") throw refused(file, document);
    const { footer, end } = document;
    const specsFrom = startOf(bytes, SPECS.line, 0, end);
    const jobsFrom = startOf(bytes, JOBS.line, 0, specsFrom);
    const { block, sequence } = parsed(headSchema, bytes.toString("utf8", 0, jobsFrom), file);
    if (block !== number || sequence !== footer.sequence) throw damaged(file, "block or sequence: not that of the name and footer");
    const jobs = placesIn(bytes, JOBS, { start: jobsFrom, end: specsFrom, file });
    if (jobs.size !== footer.jobs) throw damaged(file, "jobs: not as many as the footer says");
    for (const jid of jobs.keys()) if (blockOf(jid) !== number) throw damaged(file, `jobs: job ${jid} does not belong here`);
    return new StoredBlock({ bytes, file, number, sequence, jobs, specs: placesIn(bytes, SPECS, { start: specsFrom, end, file }) });
  }

  get number(): number {
    return this.parts.number;
  }

  get sequence(): number {
    return this.parts.sequence;
  }

  has(jid: number): boolean {
    return this.parts.jobs.has(jid);
  }

  /** In ascending order. */
  jids(): Iterable<number> {
    return this.parts.jobs.keys();
  }

  /** Whether `get` has no work to do any more. */
  isDecoded(jid: number): boolean {
    return this.decoded.has(jid);
  }

  /** The same object each time. @throws StoreError "damaged" */
  get(jid: number): Job | undefined {
    const known = this.decoded.get(jid);
    const place = this.parts.jobs.get(jid);
    if (known !== undefined || place === undefined) return known;
    const job = this.decode(place);
    if (job.jid !== jid || !isEnded(job.state)) throw damaged(this.parts.file, `jobs: job ${job.jid} does not belong here`);
    this.decoded.set(jid, job);
    return job;
  }

  /** For those who have the time. @throws StoreError "damaged" */
  all(): ReadonlyMap<number, Job> {
    for (const jid of this.jids()) this.get(jid);
    return this.decoded;
  }

  private decode(place: Place): Job {
    const [fields] = parsed(oneJobSchema, this.text(place), this.parts.file).jobs;
    const spec = this.spec(fields.spec);
    if (spec === undefined) throw damaged(this.parts.file, `jobs: job ${fields.jid} names spec ${fields.spec}, which is not there`);
    const [job, another] = [...decodeJobs(fields, spec)];
    if (job === undefined || another !== undefined) throw damaged(this.parts.file, `jobs: job ${fields.jid} is not one`);
    return job;
  }

  private spec(id: number): JobSpec | undefined {
    const known = this.specs.get(id);
    const place = this.parts.specs.get(id);
    if (known !== undefined || place === undefined) return known;
    const [{ spec }] = parsed(oneSpecSchema, this.text(place), this.parts.file).specs;
    this.specs.set(id, spec);
    return spec;
  }

  private text({ start, end }: Place): string {
    return this.parts.bytes.toString("utf8", start, end);
  }
}

/** Where the first such line begins, or `end`. */
function startOf(bytes: Buffer, line: Buffer, from: number, end: number): number {
  const at = bytes.indexOf(line, from);
  return at === -1 || at >= end ? end : at;
}

/** The tables of one kind, by their numbers. */
function placesIn(bytes: Buffer, kind: typeof JOBS, { start, end, file }: Place & { readonly file: string }): Map<number, Place> {
  const found = new Map<number, Place>();
  let last = -1;
  for (let at = start; at < end; ) {
    const next = startOf(bytes, kind.line, at + 1, end);
    const line = at + kind.line.length;
    const number = Number(kind.number.exec(bytes.toString("latin1", line, bytes.indexOf("\n", line)))?.[1] ?? Number.NaN);
    if (!(number > last)) throw damaged(file, `${kind === JOBS ? "jobs" : "specs"}: not in ascending order of their numbers`);
    found.set(number, { start: at, end: next });
    last = number;
    at = next;
  }
  return found;
}

function parsed<Schema extends v.GenericSchema>(schema: Schema, text: string, file: string): v.InferOutput<Schema> {
  const content = parseToml(text);
  if (content.kind === "bad") throw damaged(file, content.reason);
  const result = v.safeParse(schema, content.tables, { abortEarly: true });
  if (!result.success) throw damaged(file, issueText(result.issues[0]));
  return result.output;
}

function damaged(file: string, reason: string): StoreError {
  return new StoreError("damaged", { file, offset: 0, reason });
}
