/** The journal by itself: what is appended is read back, and every cut and every flipped bit is judged rightly. */
import { describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import type { Event } from "../../src/core/event.ts";
import { HEADER_BYTES } from "../../src/store/journal/format.ts";
import { cutTornTail, type JournalReading, readJournal } from "../../src/store/journal/reader.ts";
import { listSegments, nextSegmentNumber, segmentPath } from "../../src/store/journal/segments.ts";
import { JournalWriter } from "../../src/store/journal/writer.ts";
import { StoreError } from "../../src/store/store-error.ts";
import { contents, numbered, Scratch } from "./scratch.ts";

function writerIn(folder: string, durableSequence = 0): JournalWriter {
  return new JournalWriter({ folder, nextNumber: nextSegmentNumber(folder), durableSequence });
}

interface Read {
  readonly reading: JournalReading;
  readonly values: readonly number[];
}

/** The values that `numbered` put there, in order. */
function read(folder: string, after = 0): Read {
  const values: number[] = [];
  const visit = (_: number, events: readonly Event[]) => {
    for (const event of events)
      if (event.kind === "variable-set" && event.variable.kind === "plain") values.push(Number(event.variable.value));
  };
  return { reading: readJournal({ folder, after, visit }), values };
}

function refusal(folder: string, after = 0): StoreError | null {
  try {
    read(folder, after);
    return null;
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
}

function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

async function appendSingly(writer: JournalWriter, values: readonly number[]): Promise<void> {
  for (const value of values) await writer.append([numbered(value)]);
}

describe("appending", () => {
  test("gives sequences in order, and reading gives the events back", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    const sequences = await Promise.all(upTo(100).map((value) => writer.append([numbered(value)])));
    await writer.close();
    expect(sequences).toEqual([...upTo(100)]);
    expect(read(scratch.folder)).toMatchObject({
      values: upTo(100),
      reading: { lastSequence: 100, lastBase: 0, lastSegment: segmentPath(scratch.folder, 1), torn: null, sealed: false },
    });
    expect(read(scratch.folder, 60).values).toEqual(upTo(100).slice(60));
  });

  test("what no later record or seal says was durable is told, to be written once more", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    await appendSingly(writer, upTo(2));
    const before = writer.segmentBytes;
    await appendSingly(writer, [3]);
    expect(read(scratch.folder).reading.unproven).toEqual({ offset: before, bytes: writer.segmentBytes - before });
    await writer.seal();
    expect(read(scratch.folder).reading.unproven.bytes).toBe(0);
    await writer.close();
  });

  test("without events makes no record and waits for those before it", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    expect(await writer.append([])).toBe(0);
    expect(contents(scratch.folder).size).toBe(0);
    const done: string[] = [];
    const first = writer.append([numbered(1)]).then(() => done.push("record"));
    const second = writer.append([]).then((sequence) => done.push(`barrier at ${sequence}`));
    await Promise.all([first, second]);
    expect(done).toEqual(["record", "barrier at 1"]);
    await writer.close();
  });

  test("refuses a record that is too large, and goes on", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    const value = "x".repeat(65 * 1024 * 1024);
    const append = writer.append([{ kind: "variable-set", variable: { kind: "plain", name: "n", value } }]);
    await expect(append).rejects.toMatchObject({ code: "record-too-large" });
    expect(await writer.append([numbered(1)])).toBe(1);
    await writer.close();
    await expect(writer.append([numbered(2)])).rejects.toMatchObject({ code: "closed" });
  });

  test("goes on in a new segment after a restart and at each rotation", async () => {
    using scratch = new Scratch();
    const first = writerIn(scratch.folder);
    await appendSingly(first, [1, 2]);
    expect(await first.rotate()).toBe(2);
    expect(await first.rotate()).toBe(2);
    await appendSingly(first, [3]);
    await first.close();
    const second = writerIn(scratch.folder, 3);
    await appendSingly(second, [4]);
    await second.close();
    expect(listSegments(scratch.folder)).toHaveLength(3);
    expect(read(scratch.folder).values).toEqual([1, 2, 3, 4]);
    // Segments that are older than the snapshot need not even be sound.
    writeFileSync(segmentPath(scratch.folder, 1), readFileSync(segmentPath(scratch.folder, 1)).subarray(0, 40));
    expect(read(scratch.folder, 2).values).toEqual([3, 4]);
    expect(refusal(scratch.folder, 1)).toMatchObject({ code: "damaged", data: { file: segmentPath(scratch.folder, 1) } });
  });

  test("keeps its files to their owner", async () => {
    using scratch = new Scratch();
    const mask = process.umask(0);
    const writer = writerIn(scratch.folder);
    await writer.append([numbered(1)]);
    process.umask(mask);
    await writer.close();
    expect((await Bun.file(segmentPath(scratch.folder, 1)).stat()).mode & 0o777).toBe(0o600);
  });
});

describe("a journal of 200 records", () => {
  async function twoHundred(folder: string): Promise<{ readonly file: string; readonly bytes: Buffer; readonly ends: readonly number[] }> {
    const writer = writerIn(folder);
    const ends: number[] = [];
    for (const value of upTo(200)) {
      await writer.append([numbered(value)]);
      ends.push(writer.segmentBytes);
    }
    await writer.close();
    const file = segmentPath(folder, 1);
    return { file, bytes: readFileSync(file), ends };
  }

  test("cut at every byte gives the exact prefix, or refuses when the header is cut", async () => {
    using scratch = new Scratch();
    const { file, bytes, ends } = await twoHundred(scratch.folder);
    let misjudged = 0;
    for (let length = 0; length <= bytes.length; length++) {
      writeFileSync(file, bytes.subarray(0, length));
      if (length < HEADER_BYTES) {
        if (refusal(scratch.folder)?.data["offset"] !== 0) misjudged++;
        continue;
      }
      const whole = ends.filter((end) => end <= length).length;
      const { values, reading } = read(scratch.folder);
      const soundBytes = ends[whole - 1] ?? HEADER_BYTES;
      const torn = length === soundBytes ? null : { file, offset: soundBytes, bytes: length - soundBytes };
      if (!Bun.deepEquals(values, upTo(whole)) || !Bun.deepEquals(reading.torn, torn)) misjudged++;
    }
    expect(misjudged).toBe(0);
  }, 120_000);

  test("with one flipped bit at any byte is refused at the damaged record, or loses the last one only", async () => {
    using scratch = new Scratch();
    const { file, bytes, ends } = await twoHundred(scratch.folder);
    const wrong: string[] = [];
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(file, damaged);
      const index = ends.findIndex((end) => at < end);
      const start = index === 0 ? HEADER_BYTES : (ends[index - 1] ?? 0);
      if (index === 199) {
        const { values } = read(scratch.folder);
        if (!Bun.deepEquals(values, upTo(199))) wrong.push(`byte ${at}: ${values.length} records`);
        continue;
      }
      const refused = refusal(scratch.folder);
      const offset = at < HEADER_BYTES ? 0 : start;
      if (refused === null || refused.data["offset"] !== offset || refused.data["file"] !== file) wrong.push(`byte ${at}: ${refused}`);
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  test("that is sealed is refused with one flipped bit in any record, the last one too", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    await appendSingly(writer, upTo(20));
    const last = writer.segmentBytes;
    await writer.seal();
    await writer.seal();
    const sealed = writer.segmentBytes;
    await writer.close();
    expect(read(scratch.folder)).toMatchObject({ values: upTo(20), reading: { lastSequence: 20, torn: null, sealed: true } });
    const file = segmentPath(scratch.folder, 1);
    const bytes = readFileSync(file);
    expect(bytes.length).toBe(sealed);
    for (let at = HEADER_BYTES; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(file, damaged);
      if (at < last) expect(refusal(scratch.folder)?.data["file"]).toBe(file);
      // A torn seal costs no record.
      else expect(read(scratch.folder)).toMatchObject({ values: upTo(20), reading: { torn: { offset: last }, sealed: false } });
    }
  });

  test("goes on behind a seal, and behind one that a restart finds; an unsealed end is sealed by a new segment", async () => {
    using scratch = new Scratch();
    const first = writerIn(scratch.folder);
    await appendSingly(first, [1]);
    await first.seal();
    await appendSingly(first, [2]);
    await first.close();
    const found = read(scratch.folder);
    expect(found).toMatchObject({ values: [1, 2], reading: { lastSequence: 2, sealed: false } });
    const second = new JournalWriter({ folder: scratch.folder, nextNumber: 2, durableSequence: 2, sealed: found.reading.sealed });
    await second.seal();
    await second.close();
    expect(listSegments(scratch.folder)).toHaveLength(2);
    const again = read(scratch.folder).reading;
    expect(again).toMatchObject({ lastSequence: 2, lastBase: 2, sealed: true });
    const third = new JournalWriter({ folder: scratch.folder, nextNumber: 3, durableSequence: 2, sealed: again.sealed });
    await third.seal();
    await third.close();
    expect(listSegments(scratch.folder)).toHaveLength(2);
    expect(read(scratch.folder).values).toEqual([1, 2]);
  });

  test("loses nothing when a tail is cut: it is saved first, and appending goes on", async () => {
    using scratch = new Scratch();
    const { file, bytes } = await twoHundred(scratch.folder);
    writeFileSync(file, Buffer.concat([bytes, Buffer.from("half a record")]));
    const { torn } = read(scratch.folder).reading;
    if (torn === null) throw new Error("no torn tail");
    const note = await cutTornTail(scratch.folder, torn);
    expect(note).toEqual({ code: "torn-tail-cut", data: { file, offset: bytes.length, bytes: 13, saved: `${file}.torn-1` } });
    expect(readFileSync(`${file}.torn-1`, "utf8")).toBe("half a record");
    expect(readFileSync(file).equals(bytes)).toBe(true);
    const writer = writerIn(scratch.folder, 200);
    await writer.append([numbered(201)]);
    await writer.close();
    expect(read(scratch.folder).values).toEqual(upTo(201));
  });

  test("is refused when a tail that its successor says was durable is missing", async () => {
    using scratch = new Scratch();
    const { file, bytes, ends } = await twoHundred(scratch.folder);
    const writer = writerIn(scratch.folder, 200);
    await writer.append([numbered(201)]);
    await writer.close();
    writeFileSync(file, bytes.subarray(0, ends[149] ?? 0));
    expect(refusal(scratch.folder)).toMatchObject({ code: "damaged", data: { file, offset: ends[149] ?? 0 } });
    rmSync(file);
    expect(refusal(scratch.folder)).toMatchObject({ code: "damaged", data: { file: segmentPath(scratch.folder, 2) } });
  });

  test("is refused when it ends before the snapshot, or is not there at all", async () => {
    using scratch = new Scratch();
    await twoHundred(scratch.folder);
    expect(refusal(scratch.folder, 200)).toBeNull();
    expect(refusal(scratch.folder, 201)).toMatchObject({ code: "damaged" });
    rmSync(segmentPath(scratch.folder, 1));
    expect(refusal(scratch.folder, 1)).toMatchObject({ code: "damaged", data: { file: scratch.folder } });
  });
});

describe("reading", () => {
  test("leaves out what a segment says was refused, though it is sound in the one before", async () => {
    using scratch = new Scratch();
    const first = writerIn(scratch.folder);
    await appendSingly(first, [1, 2, 3]);
    await first.close();
    // As after a sync of record 3 that failed: the next segment begins after 2.
    const second = writerIn(scratch.folder, 2);
    await appendSingly(second, [30, 40]);
    await second.close();
    expect(read(scratch.folder).values).toEqual([1, 2, 30, 40]);
  });

  test("does not take a later record of the same unsynced batch for a witness", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    await writer.append([numbered(1)]);
    const start = writer.segmentBytes;
    await Promise.all([2, 3, 4].map((value) => writer.append([numbered(value)])));
    await writer.close();
    const file = segmentPath(scratch.folder, 1);
    const bytes = readFileSync(file);
    bytes.fill(0, start, start + 30);
    writeFileSync(file, bytes);
    expect(read(scratch.folder)).toMatchObject({ values: [1], reading: { lastSequence: 1, torn: { offset: start } } });
  });

  test("does not take a record inside a payload for a witness", async () => {
    using scratch = new Scratch();
    await mkdir(scratch.path("other"));
    const other = writerIn(scratch.path("other"));
    await appendSingly(other, upTo(9));
    await other.close();
    const writer = writerIn(scratch.folder);
    await writer.append([numbered(1)]);
    const { segmentBytes } = writer;
    await writer.close();
    const file = segmentPath(scratch.folder, 1);
    const foreign = readFileSync(segmentPath(scratch.path("other"), 1)).subarray(HEADER_BYTES);
    writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from("torn"), foreign]));
    expect(read(scratch.folder)).toMatchObject({ values: [1], reading: { torn: { offset: segmentBytes } } });
  });

  test("refuses a newer format and a foreign file, each by name", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    await writer.append([numbered(1)]);
    await writer.close();
    const file = segmentPath(scratch.folder, 1);
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(2, 8);
    bytes.writeUInt32LE(Bun.hash.crc32(bytes.subarray(0, 28)), 28);
    writeFileSync(file, bytes);
    expect(refusal(scratch.folder)).toMatchObject({ code: "newer-format", data: { file, format: 2 } });
    writeFileSync(file, "something else altogether, longer than a header");
    expect(refusal(scratch.folder)).toMatchObject({ code: "damaged", data: { file, offset: 0 } });
  });

  test("refuses an event of a kind that it does not know as newer", async () => {
    using scratch = new Scratch();
    const writer = writerIn(scratch.folder);
    const unknown: unknown = { kind: "job-paused", jid: 1 };
    await writer.append([unknown as Event]);
    await writer.close();
    expect(refusal(scratch.folder)).toMatchObject({ code: "newer-format", data: { format: "job-paused" } });
  });
});
