/**
 * Strangers at the port of the running server: other programs and web pages, wrong tokens, recorded handshakes, relays,
 * squatters in its place, other users of the host. Nothing is done for them, nothing is told to them.
 */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../src/client/client.ts";
import { encodeClientMessage } from "../../src/protocol/client-message.ts";
import { encodeHello, HANDSHAKE_STATUS, proof } from "../../src/protocol/handshake.ts";
import { forwardPort } from "../daemon/server/forwarder.ts";
import { RawPeer } from "../daemon/server/raw-peer.ts";
import { run, TestDaemon } from "../support/daemon.ts";
import { FOREIGN_PROTOCOLS } from "../support/foreign-protocols.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const foreign = count("foreign-protocols", { short: 500, long: 50_000 });
const wrongTokens = count("wrong-tokens", { short: 300, long: 30_000 });
const replays = count("replays", { short: 100, long: 10_000 });
const AT_ONCE = 16;
const CANARY = `canary-${crypto.randomUUID()}`;
const RELAY_HOST = "127.0.0.78";

test(
  `${foreign} first words of ${FOREIGN_PROTOCOLS.length} foreign protocols, cut anywhere, get not a byte (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start({ args: ["--log-level", "trace"] });
    const before = await everything(daemon);
    const chance = randomFrom(seed);
    let revealed = 0;
    await eachOf(foreign, async (index) => {
      const [, words = ""] = FOREIGN_PROTOCOLS[index % FOREIGN_PROTOCOLS.length] ?? [];
      const bytes = Buffer.from(words as string);
      using peer = await RawPeer.connect(daemon.port);
      const at = Math.floor(chance() * bytes.length);
      for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) if (part.length > 0) peer.write(part);
      await waitFor(() => peer.closed, { everyMs: 2 });
      revealed += peer.receivedBytes;
    });
    const violations = revealed + (Bun.deepEquals(await everything(daemon), before) ? 0 : 1);
    report({ name: "foreign-protocols", count: foreign, violations, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect({ revealed, state: await everything(daemon) }).toEqual({ revealed: 0, state: before });
    expect(daemon.stderr).not.toContain("error");
  },
  timeoutMs(40_000),
);

test(
  `${wrongTokens} wrong tokens, most of them one bit off, are told "not allowed" and nothing else (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start();
    const before = await everything(daemon);
    const chance = randomFrom(seed);
    const token = tokenOf(daemon);
    const stop = encodeClientMessage({ kind: "request", id: 1, method: "server.stop", params: {}, requestId: null });
    let violations = 0;
    await eachOf(wrongTokens, async (index) => {
      const wrong = index % 10 === 0 ? crypto.getRandomValues(new Uint8Array(32)) : flipped(token, Math.floor(chance() * 256));
      using peer = await RawPeer.connect(daemon.port);
      const clientHello = hello(chance);
      peer.write(clientHello);
      await waitFor(() => peer.receivedBytes > 0 || peer.closed, { everyMs: 2 });
      const serverHello = peer.received;
      peer.write(proof({ token: wrong, role: index % 7 === 0 ? "server" : "client", clientHello, serverHello, port: daemon.port }));
      await waitFor(() => peer.closed || peer.receivedBytes > serverHello.length, { everyMs: 2 });
      peer.write(stop);
      await waitFor(() => peer.closed, { everyMs: 2 });
      const told = [...peer.received.subarray(serverHello.length)];
      if (serverHello.length === 0 || !Bun.deepEquals(told, [HANDSHAKE_STATUS["not-allowed"]])) violations += 1;
    });
    expect(await everything(daemon)).toEqual(before);
    report({ name: "wrong-tokens", count: wrongTokens, violations, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(violations).toBe(0);
  },
  timeoutMs(40_000),
);

test(
  `${replays} replays of a recorded conversation that added a job add none, whole or with its proof late (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start();
    // The recorder has the server's own port on another loopback address, as `ssh -L` would: the only relay that passes.
    const sent: Uint8Array[] = [];
    await using recorder = await forwardPort({
      host: RELAY_HOST,
      port: daemon.port,
      to: { host: "127.0.0.1", port: daemon.port },
      onUpstream: (bytes) => sent.push(bytes.slice()),
    });
    expect(
      (await run([daemon.binary.j, "job", "add", "x", "echo 1", "--address", `${RELAY_HOST}:${recorder.port}`], words(daemon))).code,
    ).toBe(0);
    const before = await everything(daemon);
    expect(before).toContain("echo 1");
    let violations = 0;
    await eachOf(replays, async (index) => {
      using peer = await RawPeer.connect(daemon.port);
      const [first, ...rest] = index % 2 === 0 ? [Buffer.concat(sent)] : sent;
      peer.write(first ?? "");
      if (rest.length > 0) await waitFor(() => peer.receivedBytes > 0 || peer.closed, { everyMs: 2 });
      const helloBytes = peer.receivedBytes;
      for (const part of rest) peer.write(part);
      await waitFor(() => peer.closed, { everyMs: 2 });
      const told = [...peer.received.subarray(helloBytes)];
      if (told.length > 1 || (told[0] ?? HANDSHAKE_STATUS["not-allowed"]) !== HANDSHAKE_STATUS["not-allowed"]) violations += 1;
    });
    expect(await everything(daemon)).toBe(before);
    report({ name: "replays", count: replays, violations, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(violations).toBe(0);
  },
  timeoutMs(40_000),
);

test("a relay on another port is refused by both sides, and what it hears holds no token, no secret and no command", async () => {
  await using daemon = await TestDaemon.start();
  const before = await everything(daemon);
  const heard: Uint8Array[] = [];
  await using relay = await forwardPort({
    to: { host: "127.0.0.1", port: daemon.port },
    onUpstream: (bytes) => heard.push(bytes.slice()),
  });
  for (const call of CALLS) {
    const answer = await run([daemon.binary.j, ...call.words, "--address", `127.0.0.1:${relay.port}`], { ...words(daemon), stdin: CANARY });
    expect([answer.code, answer.stdout]).toEqual([4, ""]);
  }
  expect(await everything(daemon)).toBe(before);
  expect(leaks(daemon, Buffer.concat(heard))).toEqual([]);
  report({ name: "relay", count: CALLS.length, violations: 0, seed: null, seconds: 0 });
});

test("a squatter on the port of a server that is down learns nothing that is worth anything", async () => {
  const startedAt = performance.now();
  await using daemon = await TestDaemon.start();
  const token = tokenOf(daemon);
  await daemon.stop();
  let tried = 0;
  for (const [name, say] of Object.entries(SQUATTERS)) {
    const heard: Uint8Array[] = [];
    const listener = Bun.listen<{ heard: Uint8Array[] } | undefined>({
      hostname: "127.0.0.1",
      port: daemon.port,
      socket: {
        open: (socket) => {
          socket.data = { heard: [] };
          say({ heard: [], answer: (bytes) => socket.write(bytes), hangUp: () => socket.end() });
        },
        data: (socket, bytes) => {
          heard.push(bytes.slice());
          socket.data?.heard.push(bytes.slice());
          say({ heard: socket.data?.heard ?? [], answer: (out) => socket.write(out), hangUp: () => socket.end() });
        },
      },
    });
    const answers = await Promise.all(
      CALLS.map(async (call) => await run([daemon.binary.j, ...call.words], { ...words(daemon), stdin: CANARY })),
    );
    listener.stop(true);
    tried += answers.length;
    // No server there (3); or one that cannot prove that it knows the token, when what it echoed came as far as that (4).
    expect({ name, codes: answers.filter(({ code }) => code !== 3 && code !== 4) }).toEqual({ name, codes: [] });
    expect({ name, shown: answers.map(({ stdout }) => stdout) }).toEqual({ name, shown: CALLS.map(() => "") });
    for (const { stderr } of answers) expect(stderr).not.toContain("\x1b");
    expect({ name, leaks: leaks(daemon, Buffer.concat(heard)) }).toEqual({ name, leaks: [] });
    // A proof is for one nonce, one role and one port: it is not the key.
    expect(Buffer.concat(heard).includes(token)).toBe(false);
  }
  report({ name: "squatters", count: tried, violations: 0, seed: null, seconds: (performance.now() - startedAt) / 1_000 });
}, 120_000);

test.skipIf(process.getuid?.() !== 0 || Bun.which("setpriv") === null)(
  "another user of the host reads no file, no memory and no environment, signals nothing and gets no answer (SKIPPED unless root with setpriv)",
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.start({ environment: { CANARY_OF_THE_CALLER: CANARY } });
    await daemon.ok("machine", "add", "local", "here");
    const secret = await run([daemon.binary.j, "var", "set", "SECRET", "-", "--secret"], { ...words(daemon), stdin: CANARY });
    expect(secret.code).toBe(0);
    const jid = await daemon.add("here", "test {SECRET} != x; exec sleep 60");
    await daemon.untilStatus(jid, "running");
    const before = await everything(daemon);
    const program = join(daemon.folder, "program");
    mkdirSync(program);
    copyFileSync(daemon.binary.expjobserver, join(program, "j"));
    for (const path of [program, join(program, "j"), daemon.folder]) chmodSync(path, 0o755);
    const j = `'${join(program, "j")}' --address ${daemon.address}`;
    const { pid, stateDir, logDir } = daemon;
    const tries = [
      `${j} --state-dir '${stateDir}' job ls`,
      `cd $(mktemp -d) && mkdir -m 700 s && (umask 077; echo ${"ab".repeat(32)} >s/token) && ${j} --state-dir $PWD/s stop; c=$?; rm -rf "$PWD"; exit $c`,
      `ls '${stateDir}'`,
      `ls '${logDir}'`,
      `cat '${stateDir}/token'`,
      `cat '${stateDir}/secrets.toml'`,
      `cat '${stateDir}'/journal/*`,
      `cat '${logDir}/server.log'`,
      `cat /proc/${pid}/environ`,
      `cat /proc/${pid}/maps`,
      `head -c1 /proc/${pid}/mem`,
      `ls /proc/${pid}/fd/`,
      `ls /proc/${pid}/cwd/`,
      `kill -TERM ${pid}`,
      `kill -0 ${pid}`,
      `touch '${stateDir}/x'`,
      `ln -s /etc/passwd '${logDir}/99-x'`,
      `mv '${stateDir}' '${stateDir}.gone'`,
      `'${join(program, "j")}' --help >/dev/null && '${join(program, "expjobserver")}' serve --state-dir '${stateDir}'`,
    ];
    const outcomes = tries.map((command) => asNobody(command));
    const done = tries.filter((_, index) => outcomes[index]?.code === 0);
    const everySaid = outcomes.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    const seen = asNobody("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null");
    const leaked = [everySaid, seen.stdout].filter((text) => text.includes(CANARY) || text.includes(tokenOf(daemon).toString("hex")));
    const violations = done.length + leaked.length;
    report({ name: "other-users", count: tries.length, violations, seed: null, seconds: (performance.now() - startedAt) / 1_000 });
    expect({ done, leaked }).toEqual({ done: [], leaked: [] });
    expect(await everything(daemon)).toBe(before);
  },
  120_000,
);

/** What people would do at that moment; each holds something that a false server would like to know. */
const CALLS: readonly { readonly words: readonly string[] }[] = [
  { words: ["ping"] },
  { words: ["job", "add", "x", `run ${CANARY}`] },
  { words: ["var", "set", "SECRET", "-", "--secret"] },
  { words: ["job", "ls"] },
];

interface Talk {
  readonly heard: readonly Uint8Array[];
  readonly answer: (bytes: Uint8Array | string) => void;
  readonly hangUp: () => void;
}

const fakeHello = encodeHello({ protocol: { major: 1, minor: 0 }, nonce: new Uint8Array(32).fill(9), programVersion: "0.1.0" });
const newerHello = encodeHello({ protocol: { major: 9, minor: 0 }, nonce: new Uint8Array(32), programVersion: "9.9.9" });
const accepted = (serverProof: Uint8Array): Uint8Array => Uint8Array.of(HANDSHAKE_STATUS.accepted, ...serverProof);

/** Called with nothing heard when somebody connects, then after each piece. */
const SQUATTERS: Readonly<Record<string, (talk: Talk) => void>> = {
  "hangs up at once": ({ hangUp }) => hangUp(),
  "greets as SSH": ({ heard, answer }) => {
    if (heard.length === 0) answer("SSH-2.0-x\r\n\x1b]0;owned\x07");
  },
  "sends a flood": ({ heard, answer }) => {
    if (heard.length > 0) answer("\x1b[2J".repeat(100_000));
  },
  "echoes all": ({ heard, answer }) => {
    const last = heard.at(-1);
    if (last !== undefined) answer(last);
  },
  "says hello, then hangs up on the proof": ({ heard, answer, hangUp }) => {
    if (heard.length === 1) answer(fakeHello);
    if (heard.length === 2) hangUp();
  },
  "accepts any proof, with one of random bytes": ({ heard, answer }) => {
    if (heard.length === 1) answer(fakeHello);
    if (heard.length === 2) answer(accepted(crypto.getRandomValues(new Uint8Array(32))));
  },
  "accepts, with the client's own proof as its own": ({ heard, answer }) => {
    if (heard.length === 1) answer(fakeHello);
    if (heard.length === 2) answer(accepted(heard[1] ?? new Uint8Array(32)));
  },
  "takes the client's hello for its own and its proof too": ({ heard, answer }) => {
    const [first, second] = heard;
    if (first !== undefined && second === undefined) answer(first);
    if (second !== undefined && heard.length === 2) answer(accepted(second));
  },
};

test("a squatter that claims a newer protocol gets no proof at all", async () => {
  await using daemon = await TestDaemon.prepare();
  mkdirSync(daemon.stateDir, { mode: 0o700 });
  writeFileSync(join(daemon.stateDir, "token"), `${"ab".repeat(32)}\n`, { mode: 0o600 });
  const heard: Uint8Array[] = [];
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: daemon.port,
    socket: {
      data: (socket, bytes) => {
        heard.push(bytes.slice());
        socket.write(newerHello);
      },
    },
  });
  const answer = await daemon.j("ping");
  listener.stop(true);
  expect([answer.code, answer.stdout]).toEqual([1, ""]);
  expect(Buffer.concat(heard)).toHaveLength(hello(() => 0).length - "1.2.3".length + versionOf(heard[0] ?? new Uint8Array()).length);
});

function versionOf(clientHello: Uint8Array): string {
  return Buffer.from(clientHello.subarray(45)).toString("latin1");
}

function hello(chance: () => number): Uint8Array {
  const nonce = Uint8Array.from({ length: 32 }, () => Math.floor(chance() * 256));
  return encodeHello({ protocol: { major: 1, minor: 0 }, nonce, programVersion: "1.2.3" });
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
}

/** All that a client could change or learn. */
async function everything(daemon: TestDaemon): Promise<string> {
  const client = await connect({ address: daemon.address, tokenFile: join(daemon.stateDir, "token") });
  try {
    const { variables } = await client.call("variable.list", {});
    const { machines } = await client.call("machine.list", { class: null });
    const { pid, started, jobs } = await client.call("server.status", {});
    const { jobs: shown } = await client.call("job.show", { ids: [{ kind: "range", first: 0, last: 1_000 }] });
    return JSON.stringify({ variables, machines, pid, started, jobs, shown: shown.map((job) => ({ ...job, duration: null })) });
  } finally {
    client.close();
  }
}

/** What of ours is in the bytes that somebody heard. */
function leaks(daemon: TestDaemon, heard: Buffer): string[] {
  const ours = { canary: CANARY, "token as text": tokenOf(daemon).toString("hex"), folder: daemon.folder, command: "run " };
  return Object.entries(ours).flatMap(([name, text]) => (heard.includes(text) ? [name] : []));
}

function tokenOf(daemon: TestDaemon): Buffer {
  return Buffer.from(readFileSync(join(daemon.stateDir, "token"), "latin1").trim(), "hex");
}

function words(daemon: TestDaemon) {
  return { cwd: daemon.folder, env: daemon.environment };
}

async function eachOf(times: number, once: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < times) await once(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function asNobody(command: string): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
  const shell = existsSync("/bin/sh") ? "/bin/sh" : "sh";
  const done = spawnSync("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", shell, "-c", command], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", HOME: "/nonexistent" },
    encoding: "latin1",
    timeout: 20_000,
    maxBuffer: 64 * 1_048_576,
  });
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}
