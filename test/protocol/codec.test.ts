import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decode, encode } from "../../src/protocol/codec.ts";
import { FrameError } from "../../src/protocol/frame-error.ts";
import { FRAME_DEPTH_MAX, MAP_ENTRIES_MAX, REPLY_NODES_MAX } from "../../src/protocol/limits.ts";
import { scan } from "../../src/protocol/scan.ts";

const MANY = 1_000_000;

/** What may stand in a message. */
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 40 }),
    fc.dictionary(
      fc.string().filter((key) => key !== "__proto__"),
      tie("value"),
      { noNullPrototype: true },
    ),
  ),
})).value;

function faultOf(bytes: Uint8Array, nodesMax: number = MANY): string | null {
  try {
    decode(bytes, nodesMax);
    return null;
  } catch (error) {
    if (error instanceof FrameError) return error.fault;
    throw error;
  }
}

test("what is encoded is decoded to the same", () => {
  fc.assert(
    fc.property(value, (message) => {
      expect(decode(encode(message).slice(), MANY)).toEqual(message);
    }),
    { numRuns: 500 },
  );
});

test("every true prefix of a message is refused, and so is one byte more", () => {
  fc.assert(
    fc.property(value, (message) => {
      const bytes = encode(message).slice();
      for (let length = 0; length < Math.min(bytes.length, 200); length += 1) {
        expect(["truncated", "implausible-length", "text-not-utf8"]).toContain(faultOf(bytes.subarray(0, length)) ?? "accepted");
      }
      expect(faultOf(Buffer.concat([bytes, Uint8Array.of(0xc0)]))).toBe("trailing-bytes");
    }),
    { numRuns: 100 },
  );
});

test("a field that is undefined is not sent", () => {
  expect(decode(encode({ a: undefined, b: 1 }), MANY)).toEqual({ b: 1 });
});

test("a lone surrogate becomes the replacement character, in values and keys, near bytes and far", () => {
  const message = {
    "k\ud800": ["a\udc00b", `${"x".repeat(100)}\ud800`, { deep: "\ud83d" }],
    bytes: Uint8Array.of(0xed, 0xa0, 0x80),
    fine: "\ud83d\ude00",
  };
  expect(decode(encode(message).slice(), MANY)).toEqual({
    "k\ufffd": ["a\ufffdb", `${"x".repeat(100)}\ufffd`, { deep: "\ufffd" }],
    bytes: Buffer.from([0xed, 0xa0, 0x80]),
    fine: "\ud83d\ude00",
  });
});

test("64-bit integers arrive as numbers", () => {
  expect(decode(Uint8Array.of(0xcf, 0, 0, 1, 0, 0, 0, 0, 0), MANY)).toBe(2 ** 40);
  expect(decode(Uint8Array.of(0xd3, 255, 255, 255, 255, 255, 255, 255, 255), MANY)).toBe(-1);
});

test("decoded bytes are copies", () => {
  const bytes = encode(Uint8Array.of(1, 2, 3)).slice();
  const decoded = decode(bytes, MANY);
  bytes.fill(0);
  expect(decoded).toEqual(Buffer.from([1, 2, 3]));
});

test("a key named __proto__ touches no prototype", () => {
  const decoded = decode(Buffer.concat([Uint8Array.of(0x81, 0xa9), Buffer.from("__proto__"), Uint8Array.of(0x81, 0xa1, 0x78, 1)]), MANY);
  expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
  expect((decoded as Record<string, unknown>).x).toBeUndefined();
});

describe("scan refuses", () => {
  const nested = (depth: number, open: number): Uint8Array => Uint8Array.from({ length: depth + 1 }, (_, at) => (at < depth ? open : 0xc0));

  test.each<[string, Uint8Array, string | null]>([
    ["nothing", new Uint8Array(0), "truncated"],
    ["the type that is never used", Uint8Array.of(0xc1), "reserved-type"],
    ...[0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8].map((type): [string, Uint8Array, string] => [
      `the extension type 0x${type.toString(16)}`,
      Buffer.concat([Uint8Array.of(type), new Uint8Array(20)]),
      "extension-type",
    ]),
    ["an array said to be of 4 billion", Uint8Array.of(0xdd, 255, 255, 255, 255, 1), "implausible-length"],
    ["a map said to be of 4 billion", Uint8Array.of(0xdf, 255, 255, 255, 255, 1), "map-too-large"],
    ["a map with more entries than bytes for them", Uint8Array.of(0xde, 0, 4, 0xa0, 1, 0xa0, 1), "implausible-length"],
    ["a text said to be of 4 GB", Uint8Array.of(0xdb, 255, 255, 255, 255, 65), "truncated"],
    ["bytes said to be of 4 GB", Uint8Array.of(0xc6, 255, 255, 255, 255, 65), "truncated"],
    ["a map with a number as key", Uint8Array.of(0x81, 1, 1), "key-not-text"],
    ["a map with a map as key", Uint8Array.of(0x81, 0x80, 1), "key-not-text"],
    ["text that is not UTF-8", Uint8Array.of(0xa2, 0xc3, 0x28), "text-not-utf8"],
    ["a surrogate in text", Uint8Array.of(0xa3, 0xed, 0xa0, 0x80), "text-not-utf8"],
    ["text cut in a character", Uint8Array.of(0xa1, 0xc3), "text-not-utf8"],
    ["two values", Uint8Array.of(1, 2), "trailing-bytes"],
    ["arrays one too deep", nested(FRAME_DEPTH_MAX + 1, 0x91), "too-deep"],
    ["arrays a million deep", nested(MANY, 0x91), "too-deep"],
  ])("%s", (_what, bytes, fault) => {
    expect(faultOf(bytes)).toBe(fault);
  });

  test("nothing at the very depth that is allowed", () => {
    expect(faultOf(nested(FRAME_DEPTH_MAX, 0x91))).toBeNull();
  });

  test("one value more than is allowed", () => {
    const numbers = (count: number): Uint8Array => Buffer.concat([Uint8Array.of(0xdc, count >> 8, count & 0xff), new Uint8Array(count)]);
    expect(faultOf(numbers(99), 100)).toBeNull();
    expect(faultOf(numbers(100), 100)).toBe("too-many-nodes");
  });

  test("a map of more entries than the codec can write", () => {
    const entry = Uint8Array.of(0xa0, 0xc0);
    const map = (count: number): Uint8Array =>
      Buffer.concat([
        Uint8Array.of(0xdf, 0, count >> 16, (count >> 8) & 0xff, count & 0xff),
        ...Array.from({ length: count }, () => entry),
      ]);
    expect(faultOf(map(MAP_ENTRIES_MAX))).toBeNull();
    expect(faultOf(map(MAP_ENTRIES_MAX + 1))).toBe("map-too-large");
  });

  test("16 MiB of the smallest values without building one of them", () => {
    const bomb = Buffer.concat([Uint8Array.of(0xdd, 0, 0xff, 0xff, 0xf0), Buffer.alloc(0xfffff0, 0x80)]);
    const before = process.memoryUsage().rss;
    expect(faultOf(bomb, REPLY_NODES_MAX)).toBe("too-many-nodes");
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });
});

test("random bytes are a value or a FrameError, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      faultOf(bytes);
    }),
    { numRuns: 5_000 },
  );
});

test("whatever scan accepts, the decoder decodes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        scan(bytes, MANY);
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
        return;
      }
      expect(faultOf(bytes)).toBeNull();
    }),
    { numRuns: 20_000 },
  );
});
