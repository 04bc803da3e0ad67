import { expect, test } from "bun:test";
import fc from "fast-check";
import { FRAME_HEADER_BYTES, FrameReader, frame } from "../../src/protocol/frame.ts";
import { FrameError } from "../../src/protocol/frame-error.ts";
import { FRAME_BYTES_MAX } from "../../src/protocol/limits.ts";
import { OutputQueue } from "../../src/protocol/output-queue.ts";

function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

test("payloads come out as they went in, however the stream is cut", () => {
  const payloads = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(payloads, fc.array(fc.nat(), { maxLength: 30 }), (sent, cuts) => {
      const reader = new FrameReader();
      const received: Uint8Array[] = [];
      for (const piece of pieces(Buffer.concat(sent.map(frame)), cuts))
        reader.push(piece.slice(), (payload) => received.push(Uint8Array.from(payload)));
      expect(received).toEqual(sent);
      expect(reader.midFrame).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test("a frame of the greatest length passes, one byte more does not", () => {
  const bytes = frame(new Uint8Array(FRAME_BYTES_MAX));
  let length = 0;
  const reader = new FrameReader();
  for (let at = 0; at < bytes.length; at += 100_000)
    reader.push(bytes.subarray(at, at + 100_000), (payload) => {
      length = payload.length;
    });
  expect(length).toBe(FRAME_BYTES_MAX);
  expect(() => frame(new Uint8Array(FRAME_BYTES_MAX + 1))).toThrow(new FrameError("too-long"));
});

test.each([
  ["too long", [0x01, 0x00, 0x00, 0x01], "too-long"],
  ["of 4 GB", [0xff, 0xff, 0xff, 0xff], "too-long"],
  ["of nothing", [0, 0, 0, 0], "empty"],
])("a length that says %s is refused as soon as it is known", (_what, header, fault) => {
  expect(() => new FrameReader().push(Uint8Array.from(header), () => undefined)).toThrow(fault);
  const slow = new FrameReader();
  for (const byte of header.slice(0, 3)) slow.push(Uint8Array.of(byte), () => undefined);
  expect(() => slow.push(Uint8Array.of(header[3] ?? 0), () => undefined)).toThrow(fault);
});

test("a length announced costs no memory until the bytes come", () => {
  const before = process.memoryUsage().rss;
  const readers = Array.from({ length: 200 }, () => new FrameReader());
  for (const reader of readers) reader.push(Uint8Array.of(0x01, 0x00, 0x00, 0x00, 0x80), () => undefined);
  expect(readers.every((reader) => reader.midFrame)).toBe(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
});

test("a frame that comes byte by byte costs about its own size", () => {
  const size = 2 * 1024 * 1024;
  const bytes = frame(new Uint8Array(size).fill(7));
  const reader = new FrameReader();
  let taken = 0;
  const before = process.memoryUsage().rss;
  for (let at = 0; at < bytes.length; at += 1)
    reader.push(bytes.subarray(at, at + 1), (payload) => {
      taken = payload.length;
    });
  expect(taken).toBe(size);
  expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024);
});

test("the output queue gives every byte once and in order, whatever the socket takes", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: -1, max: 40 }), { minLength: 1 }),
      (parts, appetites) => {
        const queue = new OutputQueue();
        const written: number[] = [];
        let turn = 0;
        const write = (bytes: Uint8Array): number => {
          const appetite = appetites[turn % appetites.length] ?? 0;
          turn += 1;
          const taken = Math.min(appetite, bytes.length);
          written.push(...bytes.subarray(0, Math.max(0, taken)));
          return taken;
        };
        for (const part of parts) {
          queue.push(part);
          queue.flush(write);
        }
        queue.flush((bytes) => written.push(...bytes) && bytes.length);
        expect(written).toEqual(parts.flatMap((part) => [...part]));
        expect(queue.bytes).toBe(0);
      },
    ),
  );
});

test("a frame's header is its length, big-endian", () => {
  expect([...frame(Uint8Array.of(0x80)).subarray(0, FRAME_HEADER_BYTES)]).toEqual([0, 0, 0, 1]);
});
