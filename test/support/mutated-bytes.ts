/** Bytes that are nearly right: the mutations that an attacker who knows msgpack and frames would begin with. */

/** Bytes that mean something: container, text and number headers, lengths at the edges. */
const TELLING = [
  0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9, 0xdb, 0xdc,
  0xdd, 0xde, 0xdf, 0xe0, 0xff,
];

type Mutation = (bytes: Uint8Array, at: number, telling: number, pick: (below: number) => number) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  (bytes, at, telling) => bytes.with(at, telling),
  (bytes, at, _telling, pick) => bytes.with(at, (bytes[at] ?? 0) ^ (1 << pick(8))),
  (bytes, at) => bytes.slice(0, at),
  (bytes, at, telling) => Buffer.concat([bytes.subarray(0, at), Uint8Array.of(telling), bytes.subarray(at)]),
  (bytes, at, _telling, pick) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(8))]),
  (bytes, at, _telling, pick) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(pick(bytes.length)), bytes.subarray(at)]),
  (bytes, at, telling) => Buffer.concat([bytes.subarray(0, at), Uint8Array.of(telling, 0xff, 0xff, 0xff, 0xff), bytes.subarray(at)]),
  (bytes, at, telling, pick) => Buffer.concat([bytes.subarray(0, at), new Uint8Array(pick(64)).fill(telling), bytes.subarray(at)]),
];

/** One change. Bytes must not be empty. */
export function mutate(bytes: Uint8Array, pick: (below: number) => number): Uint8Array {
  const mutation = MUTATIONS[pick(MUTATIONS.length)];
  return mutation === undefined ? bytes : mutation(bytes, pick(bytes.length), TELLING[pick(TELLING.length)] ?? 0, pick);
}
