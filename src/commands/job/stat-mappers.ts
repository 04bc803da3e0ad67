/**
 * The programs of `job stat`: each is given a value, or a whole job as JSON, on its stdin, and what it prints takes its
 * place. As many jobs as there are cores go through them at once, and come out in their order.
 */
import { availableParallelism } from "node:os";
import type { Environment } from "../../config/paths.ts";
import { addedKeys, answeredRecord, columnText, type StatRecord, withColumn } from "../../terminal/job-stat.ts";
import type { StatRow } from "./stat-output.ts";
import type { MapperProgram, StatPlan } from "./stat-plan.ts";

/** What one program may print for one job. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const COMPLAINT_BYTES_MAX = 65_536;
/** Jobs that may be done before a slow one that stands before them. */
const AHEAD_OF_EACH = 16;

export type Mapped =
  | { readonly kind: "mapped"; readonly row: StatRow; readonly complaints: readonly string[] }
  | { readonly kind: "failed"; readonly message: string; readonly complaints: readonly string[] };

export interface MapperOptions {
  readonly environment: Environment;
  readonly folder: string;
  /** Nobody waits for the rest: programs that run are ended. */
  readonly signal: AbortSignal;
}

/** @param records in order */
export async function* mapRecords(
  records: AsyncIterable<StatRecord>,
  plan: Pick<StatPlan, "columnMaps" | "mapper">,
  options: MapperOptions,
): AsyncGenerator<Mapped> {
  const places = new Places(availableParallelism());
  const started: Promise<Mapped>[] = [];
  for await (const record of records) {
    started.push(places.use(() => mapRecord(record, plan, options)));
    // No job is waited for while another could be begun.
    while (started.length >= places.count * AHEAD_OF_EACH) yield* next(started);
  }
  while (started.length > 0) yield* next(started);
}

async function* next(started: Promise<Mapped>[]): AsyncGenerator<Mapped> {
  const first = started.shift();
  if (first !== undefined) yield await first;
}

async function mapRecord(
  record: StatRecord,
  { columnMaps, mapper }: Pick<StatPlan, "columnMaps" | "mapper">,
  options: MapperOptions,
): Promise<Mapped> {
  const complaints: string[] = [];
  let mapped = record;
  let added: readonly string[] = [];
  try {
    for (const { column, program } of columnMaps) {
      const text = await answerOf(program, columnText(mapped, column), { ...options, complaints });
      mapped = withColumn(mapped, column, text);
    }
    if (mapper !== null) {
      const text = await answerOf(mapper, JSON.stringify(mapped), { ...options, complaints });
      const answer = parsedAnswer(text, mapper);
      added = addedKeys(mapped, answer);
      mapped = answeredRecord(mapped, answer);
    }
    return { kind: "mapped", row: { record: mapped, added }, complaints };
  } catch (error) {
    if (!(error instanceof MapperFault)) throw error;
    return {
      kind: "failed",
      message: `The mapper ${JSON.stringify(error.program)} failed for job ${record["jid"]}: ${error.message}.`,
      complaints,
    };
  }
}

class MapperFault extends Error {
  override readonly name = "MapperFault";
  constructor(
    readonly program: string,
    message: string,
  ) {
    super(message);
  }
}

function parsedAnswer(text: string, { name }: MapperProgram): StatRecord {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new MapperFault(name, text.trim() === "" ? "it printed nothing" : "what it printed is no JSON");
  }
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) throw new MapperFault(name, "its JSON is no object");
  return answer as StatRecord;
}

/** What the program prints, without one line break at its end. @throws MapperFault */
async function answerOf(program: MapperProgram, input: string, options: MapperOptions & { complaints: string[] }): Promise<string> {
  const child = started(program, input, options);
  const [answer, complaint, code] = await Promise.all([
    readUpTo(child.stdout, ANSWER_BYTES_MAX),
    readUpTo(child.stderr, COMPLAINT_BYTES_MAX),
    child.exited,
  ]);
  const said = new TextDecoder().decode(complaint.bytes).trimEnd();
  if (said !== "") options.complaints.push(said);
  if (answer.isCut) throw new MapperFault(program.name, `it printed more than ${ANSWER_BYTES_MAX} bytes`);
  if (child.signalCode !== null) throw new MapperFault(program.name, `it was ended by ${child.signalCode}`);
  if (code !== 0) throw new MapperFault(program.name, `exit code ${code}`);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(answer.bytes).replace(/\r?\n$/, "");
  } catch {
    throw new MapperFault(program.name, "what it printed is not UTF-8");
  }
}

function started(program: MapperProgram, input: string, { environment, folder, signal }: MapperOptions) {
  try {
    return Bun.spawn([...program.words], {
      cwd: folder,
      env: { ...environment },
      signal,
      stdio: [new Blob([input]), "pipe", "pipe"],
    });
  } catch (error) {
    throw new MapperFault(program.name, `it cannot be started (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}

/** All of it is read, so that the program does not hang; no more than so much is kept. */
async function readUpTo(stream: ReadableStream<Uint8Array>, bytesMax: number): Promise<{ bytes: Uint8Array; isCut: boolean }> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  let isCut = false;
  for await (const piece of stream) {
    if (bytes + piece.length > bytesMax) isCut = true;
    else {
      pieces.push(piece);
      bytes += piece.length;
    }
  }
  return { bytes: Buffer.concat(pieces), isCut };
}

/** So many at once; the others wait in line. */
class Places {
  #free: number;
  readonly #line: (() => void)[] = [];

  constructor(readonly count: number) {
    this.#free = count;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
