/**
 * Whoever has the token may still send nonsense: frames of every method, changed in their structure and in their bytes,
 * bombs, sizes beyond the limits, clients that are slow or say nothing. The server goes on, within bounded memory, and
 * answers an honest client all the time.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "../../src/client/client.ts";
import { encode } from "../../src/protocol/codec.ts";
import { frame } from "../../src/protocol/frame.ts";
import { FRAME_BYTES_MAX } from "../../src/protocol/limits.ts";
import { decodeClientMessage } from "../../src/protocol/message.ts";
import { METHODS, type MethodName } from "../../src/protocol/methods.ts";
import { RawPeer } from "../daemon/server/raw-peer.ts";
import { TestDaemon } from "../support/daemon.ts";
import { mutate } from "../support/mutated-bytes.ts";
import { disturbed, type Pick, sampled } from "../support/sampled-value.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const frames = count("frames", { short: 10_000, long: 1_000_000 });
const ATTACKERS = 16;
const FRAMES_A_CONNECTION = 24;
const METHOD_NAMES = Object.keys(METHODS) as MethodName[];
/** Answers to an honest client, whatever others do. */
const HONEST_ANSWER_MS = 10_000;
/** What the server may grow by: the work that it accepted, and what the allocator keeps. */
const GROWTH_BYTES_MAX = 256 * 1_048_576;
const CONFIG = "[limits]\nqueued_jobs = 500\n";
const PING_ID = 1_000_000;

test(
  `${frames} frames of every method, changed in structure and bytes, do no harm (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start({ config: CONFIG });
    await furnish(daemon);
    const { pid } = daemon;
    const honest = new HonestClient(daemon);
    const target: Target = {
      port: daemon.port,
      token: tokenOf(daemon),
      folder: daemon.folder,
      chance: randomFrom(seed),
      tally: new Tally(),
    };
    const before = memoryOf(pid);
    const asking = honest.keepAsking();
    await Promise.all(Array.from({ length: ATTACKERS }, () => attack(target)));
    honest.over = true;
    await asking;
    const grown = memoryOf(pid) - before;
    const { tally } = target;
    const isSame = daemon.pid === pid && (await daemon.j("ping")).code === 0;
    const faults = serverFaults(daemon);
    const violations = faults.length + honest.slow + (isSame ? 0 : 1) + tally.unanswered;
    const note = `${tally.answered} answered, ${tally.hungUp} hung up on, slowest honest answer ${honest.slowestMs.toFixed(0)} ms, memory +${(grown / 1_048_576).toFixed(0)} MiB`;
    report({ name: "frames", count: tally.sent, violations, seed, seconds: (performance.now() - startedAt) / 1_000, note });
    expect({ faults, slow: honest.slow, unanswered: tally.unanswered, isSame }).toEqual({
      faults: [],
      slow: 0,
      unanswered: 0,
      isSame: true,
    });
    expect(METHOD_NAMES.filter((name) => !tally.methods.has(name))).toEqual([]);
    expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
    expect(tally.answered).toBeGreaterThan(tally.sent / 10);
    expect(tally.hungUp).toBeGreaterThan(tally.sent / 10);
  },
  timeoutMs(60_000),
);

test(
  "bombs, sizes beyond the limit and frames that never end cost little, and nobody else notices",
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start({ config: CONFIG });
    const honest = new HonestClient(daemon);
    const token = tokenOf(daemon);
    const { pid } = daemon;
    const before = memoryOf(pid);
    const asking = honest.keepAsking();
    const held: RawPeer[] = [];
    for (let peer = 0; peer < 100; peer += 1) {
      // A frame of the largest size is announced, and then almost nothing of it comes.
      const slow = await RawPeer.authenticated(daemon.port, token);
      slow.write(Uint8Array.of(0x01, 0, 0, 0, 0x83));
      held.push(slow);
    }
    const grownBySlow = memoryOf(pid) - before;
    let refused = 0;
    for (const [name, bytes] of BOMBS) {
      using peer = await RawPeer.authenticated(daemon.port, token);
      peer.write(bytes);
      await waitFor(() => peer.closed || peer.messages.length > 0, { what: () => `an answer to ${name}`, timeoutMs: 20_000 });
      const [answer] = peer.messages;
      if (answer?.kind === "error") refused += 1;
      else console.log(`${name}: ${JSON.stringify(answer)}`);
    }
    // One beyond the limit may be reset before it even knows that it was connected.
    const dialled = await Promise.allSettled(Array.from({ length: 300 }, () => RawPeer.connect(daemon.port)));
    const silent = dialled.flatMap((dial) => (dial.status === "fulfilled" ? [dial.value] : []));
    expect((await daemon.j("ping")).code).toBe(0);
    honest.over = true;
    await asking;
    const grown = memoryOf(pid) - before;
    for (const peer of [...held, ...silent]) peer[Symbol.dispose]();
    const violations = BOMBS.length - refused + honest.slow + serverFaults(daemon).length;
    report({
      name: "bombs",
      count: BOMBS.length + held.length + silent.length,
      violations,
      seed: null,
      seconds: (performance.now() - startedAt) / 1_000,
      note: `memory +${(grownBySlow / 1_048_576).toFixed(0)} MiB for 100 slow frames, +${(grown / 1_048_576).toFixed(0)} MiB in all, slowest honest answer ${honest.slowestMs.toFixed(0)} ms`,
    });
    expect({ refused, slow: honest.slow, faults: serverFaults(daemon) }).toEqual({ refused: BOMBS.length, slow: 0, faults: [] });
    expect(grownBySlow).toBeLessThan(64 * 1_048_576);
    expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
  },
  timeoutMs(60_000),
);

const header = (length: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
};
const framed = (...payload: readonly Uint8Array[]): Uint8Array => {
  const bytes = Buffer.concat(payload);
  return Buffer.concat([header(bytes.length), bytes]);
};
const request = (params: unknown, method = "variable.list"): Uint8Array => frame(encode({ id: 1, method, params }));

/** Each has to be refused, with words. */
const BOMBS: readonly (readonly [string, Uint8Array])[] = [
  ["an empty frame", header(0)],
  ["one byte more than a frame may have", header(FRAME_BYTES_MAX + 1)],
  ["four gigabytes", header(0xffff_ffff)],
  ["sixteen million empty lists", framed(Uint8Array.of(0xdd, 0x00, 0xff, 0xff, 0xf0), new Uint8Array(0xff_fff0).fill(0x90))],
  ["a million lists in each other", framed(new Uint8Array(1_000_000).fill(0x91), Uint8Array.of(0xc0))],
  ["a million maps in each other", framed(Buffer.from("81a161".repeat(1_000_000), "hex"), Uint8Array.of(0xc0))],
  ["a list that says it has four billion entries", framed(Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff, 1))],
  ["a map that says it has four billion entries", framed(Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff, 1))],
  ["a text that says it has four gigabytes", framed(Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff, 1))],
  ["a hundred thousand keys", framed(Uint8Array.of(0xdf, 0x00, 0x01, 0x86, 0xa0), Buffer.from("a178c0".repeat(100_000), "hex"))],
  ["an extension type", framed(Uint8Array.of(0xc7, 0x04, 0xff, 1, 2, 3, 4))],
  ["a timestamp", framed(Uint8Array.of(0xd6, 0xff, 1, 2, 3, 4))],
  ["text that is not UTF-8", framed(Uint8Array.of(0x81, 0xa1, 0xff, 0xc0))],
  ["two values in one frame", framed(Uint8Array.of(0xc0, 0xc0))],
  ["a message of the server's", frame(encode({ id: 1, result: {} }))],
  ["id 0", frame(encode({ id: 0, method: "server.ping", params: {} }))],
  ["an id beyond its range", frame(encode({ id: 2 ** 32, method: "server.ping", params: {} }))],
  ["a method of a megabyte", frame(encode({ id: 1, method: "x".repeat(1_000_000), params: {} }))],
  ["a method of the language's", request({}, "constructor")],
  ["a method named __proto__", request({}, "__proto__")],
  ["a command of sixteen megabytes", request({ ...addition(), cmd: "x".repeat(16_000_000) }, "job.add")],
  ["a command one byte too long", request({ ...addition(), cmd: "x".repeat(65_537) }, "job.add")],
  ["more jobs than one request may add", request({ ...addition(), count: 200_001 }, "job.add")],
  ["more jobs than the queue takes", request({ ...addition(), count: 501 }, "job.add")],
  ["a variable one byte too long", request({ name: "A", value: "ä".repeat(32_769), secret: false }, "variable.set")],
  ["ten thousand and one ids", request({ ids: Array.from({ length: 10_001 }, () => ({ kind: "last" })) }, "job.show")],
  ["a matrix of ten to the power of twenty", request(matrix(), "matrix.add")],
];

function addition() {
  return { class: "none", cmd: "true", cp_results: null, count: 1, retry: null, timeout: null, tag: null, notify: false };
}

function matrix() {
  const { tag: _tag, ...rest } = addition();
  const values = Array.from({ length: 100_000 }, () => "");
  return { ...rest, keys: ["A", "B", "C", "D"].map((name) => ({ name, values })) };
}

interface Target {
  readonly port: number;
  readonly token: Uint8Array;
  readonly folder: string;
  readonly chance: () => number;
  readonly tally: Tally;
}

class Tally {
  sent = 0;
  answered = 0;
  hungUp = 0;
  unanswered = 0;
  readonly methods = new Set<string>();
}

/** One connection after another until all frames are sent. */
async function attack(target: Target): Promise<void> {
  const { tally } = target;
  while (tally.sent < frames) {
    using peer = await RawPeer.authenticated(target.port, target.token);
    for (let sent = 0; sent < FRAMES_A_CONNECTION && tally.sent < frames && !peer.closed; sent += 1) {
      tally.sent += 1;
      const { bytes, isWhole } = nextFrame(target);
      peer.write(bytes);
      // A frame that is not whole may swallow whatever follows it: that connection is left there.
      if (!isWhole) break;
      const ping = PING_ID + sent;
      peer.request(ping, "server.ping", {});
      await waitFor(() => peer.closed || peer.answer(ping) !== undefined, { timeoutMs: 30_000, everyMs: 1 }).catch(() => {
        tally.unanswered += 1;
      });
      if (peer.closed) tally.hungUp += 1;
      else tally.answered += 1;
    }
  }
}

const WORDS = {
  "": ["x", "A", "7"],
  class: ["none", "other"],
  // Machines of other classes than those of the jobs, on ports where nothing listens: whatever is made of a command, nobody runs it.
  addrs: ["127.0.0.1:1", "127.0.0.1:2"],
  name: ["A", "B", "SECRET"],
  names: ["A", "B"],
  cmd: ["echo {A} {B}", "true"],
  cmds: ["true"],
  cp_results: ["/nonexistent/results/{JID}"],
  to: ["/nonexistent/taken/{JID}"],
} as const;

function nextFrame(target: Target): { readonly bytes: Uint8Array; readonly isWhole: boolean } {
  for (;;) {
    const pick: Pick = (below) => Math.floor(target.chance() * below);
    const method = METHOD_NAMES[pick(METHOD_NAMES.length)] ?? "server.ping";
    const id = 1 + pick(60);
    let params = sampled(METHODS[method].params, pick, WORDS);
    const way = pick(4);
    if (way === 1 || way === 2) params = disturbed(params, pick);
    let payload = encode({ id, method, params, ...(pick(4) === 0 ? { request_id: `r${pick(50)}` } : {}) }).slice();
    if (way === 3) for (let left = 1 + pick(4); left > 0 && payload.length > 0; left -= 1) payload = mutate(payload, pick).slice();
    if (payload.length === 0 || wouldStop(payload)) continue;
    target.tally.methods.add(method);
    const isWhole = pick(20) > 0;
    const bytes = frame(payload);
    return { bytes: isWhole ? bytes : mutate(bytes, pick), isWhole };
  }
}

/** The one request that ends the server, as it should. */
function wouldStop(payload: Uint8Array): boolean {
  try {
    const message = decodeClientMessage(payload);
    return message.kind === "request" && message.method === "server.stop";
  } catch {
    return false;
  }
}

/** Something of each kind to be asked about. */
async function furnish(daemon: TestDaemon): Promise<void> {
  await daemon.ok("var", "set", "A", "one two");
  await daemon.ok("var", "set", "SECRET", "s3cr3t", "--secret");
  await daemon.ok("job", "add", "none", "echo {A} {SECRET}", "-x", "3");
  await daemon.ok("job", "matrix", "add", "none", "echo {K}", "K=1,2,3");
  await daemon.ok("job", "tag", "new");
}

/** Asks again and again on connections of its own, as people do. */
class HonestClient {
  over = false;
  slow = 0;
  slowestMs = 0;

  constructor(private readonly daemon: TestDaemon) {}

  async keepAsking(): Promise<void> {
    while (!this.over) {
      const startedAt = performance.now();
      const client = await connect({ address: this.daemon.address, tokenFile: `${this.daemon.stateDir}/token`, timeoutMs: 30_000 });
      await client.call("server.status", {});
      client.close();
      const took = performance.now() - startedAt;
      this.slowestMs = Math.max(this.slowestMs, took);
      if (took > HONEST_ANSWER_MS) this.slow += 1;
      // tidy-allow sleep: the pace of a person, not a wait
      await Bun.sleep(20);
    }
  }
}

function tokenOf(daemon: TestDaemon): Uint8Array {
  return Buffer.from(readFileSync(`${daemon.stateDir}/token`, "latin1").trim(), "hex");
}

/** Bytes of the server that are in memory. */
function memoryOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1_024;
}

function serverFaults(daemon: TestDaemon): string[] {
  return daemon.stderr.split("\n").filter((line) => / (error|fatal): /.test(line) || line.includes("    at "));
}
