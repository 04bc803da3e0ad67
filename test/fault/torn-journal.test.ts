/**
 * The journal of a real server, torn: 200 records cut at every byte, and one bit flipped in every byte. Each time the
 * store reads the exact prefix that is whole, or refuses and says where; with its seal the last record is no exception.
 * Guarantees D1, D4.
 */
import { expect, test } from "bun:test";
import { closeSync, cpSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/client.ts";
import type { Event } from "../../src/core/event.ts";
import { decodeHeader, decodeRecord, encodedLength, HEADER_BYTES } from "../../src/store/journal/format.ts";
import { readJournal } from "../../src/store/journal/reader.ts";
import { listSegments } from "../../src/store/journal/segments.ts";
import { StoreError } from "../../src/store/store-error.ts";
import { Scratch } from "../store/scratch.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const RECORDS = 200;
const seed = chooseSeed();
/** Of each byte; the short form takes another one for each byte. */
const bits = count("torn-journal", { short: 1, long: 8 });

interface Journal {
  readonly bytes: Buffer;
  readonly events: readonly (readonly Event[])[];
  readonly pieces: readonly Piece[];
}

/** A record or a seal, as it lies in the file. The last one is a seal. */
interface Piece {
  readonly start: number;
  readonly end: number;
  readonly isSeal: boolean;
}

test(
  `the journal of a server, ${RECORDS} records, cut at every byte and with ${bits} flipped in each, is read exactly or refused (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const journal = await realJournal();
    expect(journal.events.length).toBeGreaterThanOrEqual(RECORDS);
    expect(journal.events.length).toBe(recordsAmong(journal.pieces));
    using scratch = new Scratch();
    const file = scratch.path("00000001");
    const judge = new Judge(scratch.folder, journal);
    const misjudged: string[] = [];
    // In place, because the whole file 80,000 times is much to write.
    writeFileSync(file, journal.bytes);
    const chance = randomFrom(seed);
    for (let at = 0; at < journal.bytes.length; at++) {
      const first = Math.floor(chance() * 8);
      for (let bit = first; bit < first + bits; bit++) {
        putByte(file, at, (journal.bytes[at] ?? 0) ^ (1 << (bit % 8)));
        const fault = judge.judgeFlip(at);
        if (fault !== null) misjudged.push(`bit ${bit % 8} of byte ${at}: ${fault}`);
      }
      putByte(file, at, journal.bytes[at] ?? 0);
    }
    expect(readFileSync(file).equals(journal.bytes)).toBe(true);
    for (let length = journal.bytes.length; length >= 0; length--) {
      truncateSync(file, length);
      const fault = length < HEADER_BYTES ? judge.refusedAt(0) : judge.isPrefixOf(length);
      if (fault !== null) misjudged.push(`cut at ${length}: ${fault}`);
    }
    report({
      name: "torn-journal",
      count: journal.bytes.length * (1 + bits) + 1,
      violations: misjudged.length,
      seed,
      seconds: (performance.now() - startedAt) / 1_000,
      note: `${journal.events.length} records, ${journal.bytes.length} bytes`,
    });
    expect(misjudged).toEqual([]);
  },
  timeoutMs(120_000),
);

test("a server whose last record was damaged after its seal refuses to start, and changes nothing", async () => {
  await using daemon = await TestDaemon.start();
  await daemon.ok("job", "add", "none", "echo 1");
  const journal = join(daemon.stateDir, "journal");
  const [segment] = listSegments(journal);
  if (segment === undefined) throw new Error("no journal");
  await waitFor(() => isSealed(readFileSync(segment.path)), { what: () => "the seal" });
  await daemon.kill();
  const whole = readFileSync(segment.path);
  const damaged = Buffer.from(whole);
  const at = (piecesOf(whole).at(-1)?.start ?? 0) - 3;
  damaged[at] = (damaged[at] ?? 0) ^ 4;
  writeFileSync(segment.path, damaged);
  cpSync(daemon.stateDir, join(daemon.folder, "before"), { recursive: true });
  const { code, stderr } = await daemon.startToFail();
  expect(code).toBe(7);
  expect(stderr).toContain(segment.path);
  expect(Bun.spawnSync(["diff", "-r", "-x", "lock", join(daemon.folder, "before"), daemon.stateDir]).stdout.toString()).toBe("");
  writeFileSync(segment.path, whole);
  await daemon.start();
  expect(await daemon.json<unknown[]>("job", "ls")).toHaveLength(1);
}, 120_000);

/** What the store's reader makes of the damaged journal in its folder. null: the right thing. */
class Judge {
  constructor(
    private readonly folder: string,
    private readonly journal: Journal,
  ) {}

  isPrefixOf(length: number): string | null {
    const whole = this.journal.pieces.filter(({ end }) => end <= length);
    const sound = whole.at(-1)?.end ?? HEADER_BYTES;
    return this.readsTo(recordsAmong(whole), length === sound ? null : sound);
  }

  judgeFlip(at: number): string | null {
    const { pieces, events } = this.journal;
    const piece = pieces.find(({ end }) => at < end);
    if (at < HEADER_BYTES || piece === undefined) return this.refusedAt(0);
    // Only the last seal itself is damaged: no record is lost.
    return piece === pieces.at(-1) ? this.readsTo(events.length, piece.start) : this.refusedAt(piece.start);
  }

  refusedAt(offset: number): string | null {
    try {
      readJournal({ folder: this.folder, after: 0, visit: () => undefined });
      return "it was read";
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return error.code === "damaged" && error.data["offset"] === offset ? null : error.message;
    }
  }

  private readsTo(records: number, tornAt: number | null): string | null {
    // Those before have the same bytes as in the attempt before: only what is new is decoded again.
    const after = Math.max(0, records - 3);
    let visited = after;
    let wrong: string | null = null;
    const visit = (sequence: number, events: readonly Event[]): void => {
      if (sequence !== visited + 1 || !Bun.deepEquals(events, this.journal.events[sequence - 1])) wrong ??= `record ${sequence} is another`;
      visited = sequence;
    };
    try {
      const { torn, lastSequence } = readJournal({ folder: this.folder, after, visit });
      if (lastSequence !== records || visited !== records) return `${lastSequence} records for ${records}`;
      if ((torn?.offset ?? null) !== tornAt) return `torn at ${torn?.offset} instead of ${tornAt}`;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return error.message;
    }
    return wrong;
  }
}

/** Of a server that is killed a while after its last change. */
async function realJournal(): Promise<Journal> {
  await using daemon = await TestDaemon.start();
  const client = await connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token") });
  await client.call("machine.add", { addrs: ["local/1", "local/2"], class: "torn" });
  const [segment] = listSegments(join(daemon.stateDir, "journal"));
  if (segment === undefined) throw new Error("no journal");
  for (let change = 0; recordsAmong(piecesOf(readFileSync(segment.path))) < RECORDS; change++) await changeSomething(client, change);
  await client.call("job.wait", { ids: [{ kind: "range", first: 0, last: 100_000 }], timeout: null });
  await waitFor(() => isSealed(readFileSync(segment.path)), { what: () => "the seal" });
  client.close();
  await daemon.kill();
  const bytes = readFileSync(segment.path);
  const events: (readonly Event[])[] = [];
  readJournal({ folder: join(daemon.stateDir, "journal"), after: 0, visit: (_, found) => events.push(found) });
  return { bytes, events, pieces: piecesOf(bytes) };
}

async function changeSomething(client: Client, change: number): Promise<void> {
  await client.call("variable.set", { name: `V${change % 7}`, value: String(change), secret: false });
  if (change % 9 !== 0) return;
  const job = {
    class: "torn",
    cmd: `exit ${change % 2}`,
    cp_results: null,
    count: 1,
    retry: null,
    timeout: null,
    tag: null,
    notify: false,
  };
  await client.call("job.add", job);
}

function putByte(file: string, at: number, byte: number): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, Uint8Array.of(byte), 0, 1, at);
  closeSync(descriptor);
}

/** By the format alone. */
function piecesOf(bytes: Buffer): readonly Piece[] {
  const reading = decodeHeader(bytes);
  if (reading.kind !== "header") throw new Error("no header");
  const pieces: Piece[] = [];
  for (let start = HEADER_BYTES; ; ) {
    const record = decodeRecord(bytes, start, reading.header.salt);
    if (record === null) return pieces;
    const end = start + encodedLength(record.payload);
    pieces.push({ start, end, isSeal: record.sequence === record.lastDurable });
    start = end;
  }
}

function recordsAmong(pieces: readonly Piece[]): number {
  return pieces.filter(({ isSeal }) => !isSeal).length;
}

function isSealed(bytes: Buffer): boolean {
  return piecesOf(bytes).at(-1)?.isSeal === true;
}
