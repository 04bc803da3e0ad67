/** The client's codec held against the server's, which reads with msgpackr after a scan: the same bytes, the same values, the same refusals. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import * as server from "../../src/protocol/codec.ts";
import { FrameError } from "../../src/protocol/frame-error.ts";
import * as client from "../../src/protocol/light-codec.ts";
import { FRAME_DEPTH_MAX, MAP_ENTRIES_MAX } from "../../src/protocol/limits.ts";

const MANY = 1_000_000;

/** What may stand in a message. */
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.integer({ min: -70_000, max: 70_000 }),
    fc.double({ noNaN: true }),
    fc.string({ unit: "grapheme", maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 40 }),
    fc.dictionary(fc.string(), tie("value"), { noNullPrototype: true }),
  ),
})).value;

/** The value as JSON, so that kinds of byte arrays and -0 do not matter, or the fault. */
function read(codec: typeof server | typeof client, bytes: Uint8Array, nodesMax = MANY): string {
  try {
    return `value ${JSON.stringify(codec.decode(bytes, nodesMax), (_, item: unknown) => (isBytes(item) ? Buffer.from(item).toString("hex") : item))}`;
  } catch (error) {
    if (error instanceof FrameError) return `fault ${error.fault}`;
    throw error;
  }
}

function isBytes(item: unknown): item is Uint8Array {
  return item instanceof Uint8Array;
}

test("what one of them writes both read alike", () => {
  fc.assert(
    fc.property(value, (message) => {
      for (const codec of [server, client]) {
        const bytes = codec.encode(message).slice();
        expect(read(client, bytes)).toBe(read(server, bytes));
        expect(read(client, bytes)).toStartWith("value");
      }
    }),
    { numRuns: 500 },
  );
});

test("what the client writes comes back as it was", () => {
  const message = {
    numbers: [
      0,
      127,
      128,
      255,
      256,
      65_535,
      65_536,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 53 - 1,
      -1,
      -32,
      -33,
      -32_768,
      -32_769,
      -(2 ** 31),
      -(2 ** 31) - 1,
      0.5,
    ],
    texts: ["", "x".repeat(31), "x".repeat(32), "x".repeat(256), "x".repeat(65_536), "ä€😀", "\ufeffmark"],
    lists: [[], Array.from({ length: 16 }, () => null), Array.from({ length: 70_000 }, () => true)],
    bytes: new Uint8Array([1, 2, 255]),
    map: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`key ${index}`, index])),
  };
  expect(client.decode(client.encode(message), MANY)).toEqual(message);
  expect(server.decode(client.encode(message), MANY)).toEqual({ ...message, bytes: Buffer.from(message.bytes) });
  expect(client.decode(client.encode({ a: undefined, b: "\ud800" }), MANY)).toEqual({ b: "\ufffd" });
  expect(() => client.encode({ a: () => 1 })).toThrow(TypeError);
});

test("what is decoded shares no memory with the frame", () => {
  const bytes = client.encode(Uint8Array.of(1, 2, 3)).slice();
  const decoded = client.decode(bytes, MANY);
  bytes.fill(0);
  expect(decoded).toEqual(Uint8Array.of(1, 2, 3));
});

test("any bytes, and any message with some of its bytes changed, are read alike or refused for the same fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => expect(read(client, bytes)).toBe(read(server, bytes))),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(value, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), (message, changes) => {
      const bytes = server.encode(message).slice();
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      expect(read(client, bytes)).toBe(read(server, bytes));
    }),
    { numRuns: 1_000 },
  );
});

test("the limits are the same", () => {
  const deep = (depth: number): Uint8Array => Uint8Array.from([...Array.from({ length: depth }, () => 0x91), 0xc0]);
  const wide = Uint8Array.from([0xdf, 0, 1, 0, 0, ...new Uint8Array(2 * (MAP_ENTRIES_MAX + 1))]);
  const many = client.encode([1, 2, { a: 3 }]);
  const frames: [Uint8Array, number][] = [
    [deep(FRAME_DEPTH_MAX), MANY],
    [deep(FRAME_DEPTH_MAX + 1), MANY],
    [wide, MANY],
    [many, 5],
    [many, 6],
    [Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff), MANY],
    [Uint8Array.of(0x81, 0xa9, ...new TextEncoder().encode("__proto__"), 1), MANY],
  ];
  const results = frames.map(([bytes, nodesMax]) => read(client, bytes, nodesMax));
  expect(results).toEqual(frames.map(([bytes, nodesMax]) => read(server, bytes, nodesMax)));
  expect(results.slice(1, 4)).toEqual(["fault too-deep", "fault map-too-large", "fault too-many-nodes"]);
});
