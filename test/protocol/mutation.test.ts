/** Messages that are nearly right: the mutations an attacker who knows the format would begin with. */
import { expect, test } from "bun:test";
import { decodeServerMessage, encodeClientMessage } from "../../src/protocol/client-message.ts";
import { encode } from "../../src/protocol/codec.ts";
import { FrameReader, frame } from "../../src/protocol/frame.ts";
import { FrameError } from "../../src/protocol/frame-error.ts";
import { decodeClientMessage, encodeServerMessage } from "../../src/protocol/message.ts";
import { mutate } from "../support/mutated-bytes.ts";

const ROUNDS = 10_000;

const seeds: readonly Uint8Array[] = [
  encodeClientMessage({ kind: "request", id: 1, method: "server.ping", params: {}, requestId: null }),
  encodeClientMessage({
    kind: "request",
    id: 2,
    method: "job.add",
    params: {
      class: "fast",
      cmd: "run {A}",
      cp_results: null,
      count: 3,
      retry: { max_failures: 3 },
      timeout: 1.5,
      tag: null,
      notify: false,
    },
    requestId: "0-1-2",
  }),
  encodeClientMessage({
    kind: "request",
    id: 3,
    method: "matrix.add",
    params: { keys: [{ name: "A", values: ["1", "2", "ä"] }] },
    requestId: null,
  }),
  encodeClientMessage({ kind: "cancel", id: 4 }),
  encodeClientMessage({ kind: "ack", id: 5, bytes: 70_000 }),
  encodeServerMessage({ kind: "result", id: 1, result: { done: Array.from({ length: 100 }, (_, index) => index * 1_000), failed: [] } }),
  encodeServerMessage({ kind: "error", id: 2, error: { code: "no-such-job", data: { jid: 7 } } }),
  encodeServerMessage({ kind: "chunk", id: 3, chunk: new Uint8Array(70) }),
  frame(encode({ id: 1, method: "x", params: [[[[[[[[{ a: [null, true, -1, 2 ** 40, 0.5, "x".repeat(300)] }]]]]]]]] })),
];

/** mulberry32: a seed replays. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Reframes most mutants, so that they are not all stopped by the length. */
function mutant(seed: number): Uint8Array {
  const pick = random(seed);
  let bytes = seeds[pick(seeds.length)] ?? new Uint8Array(0);
  const reframe = pick(4) > 0;
  if (reframe) bytes = bytes.subarray(4);
  for (let left = 1 + pick(4); left > 0 && bytes.length > 0; left -= 1) bytes = mutate(bytes, pick);
  return reframe ? frame(bytes) : bytes;
}

function digest(bytes: Uint8Array): "accepted" | "refused" {
  try {
    new FrameReader().push(bytes, (payload) => {
      for (const decoded of [decodeClientMessage, decodeServerMessage]) {
        try {
          decoded(payload);
        } catch (error) {
          if (!(error instanceof FrameError)) throw error;
          if (decoded === decodeServerMessage) throw error;
        }
      }
    });
    return "accepted";
  } catch (error) {
    if (error instanceof FrameError) return "refused";
    throw error;
  }
}

test(`${ROUNDS} mutated messages are accepted or refused, quickly and in bounded memory`, () => {
  const from = (Math.random() * 2 ** 31) | 0;
  const counts = { accepted: 0, refused: 0 };
  const before = process.memoryUsage().rss;
  let slowestMs = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    try {
      counts[digest(mutant(from + round))] += 1;
    } catch (error) {
      throw new Error(`seed ${from + round}`, { cause: error });
    }
    slowestMs = Math.max(slowestMs, performance.now() - start);
  }
  expect(counts.accepted + counts.refused).toBe(ROUNDS);
  expect(counts.accepted).toBeGreaterThan(ROUNDS / 50);
  expect(counts.refused).toBeGreaterThan(ROUNDS / 4);
  expect(slowestMs).toBeLessThan(5_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024);
});
