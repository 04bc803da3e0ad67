/**
 * A submission whose acknowledgement is lost: the connection is cut before the request arrives, inside the reply or
 * after it, by a proxy on the same port of another loopback address; the client asks again by itself. As many jobs as
 * were asked for, no more and no fewer. Guarantee D2.
 */
import { expect, test } from "bun:test";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { connect } from "../../src/client/client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const submissions = count("lost-acknowledgement", { short: 1_000, long: 20_000 });
/** Of a client, before its first request. */
const HANDSHAKE_MESSAGES = 2;
const PROXY_HOST = "127.0.0.77";

type Cut =
  /** The request never reaches the server. */
  | { readonly kind: "request"; readonly bytes: number }
  /** The server has carried it out; so many bytes of its reply arrive. */
  | { readonly kind: "reply"; readonly bytes: number }
  /** All of the reply arrives, and then the connection ends. */
  | { readonly kind: "after" };

test(
  `${submissions} submissions with lost acknowledgements make as many jobs (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    await using daemon = await TestDaemon.start();
    const proxy = await CuttingProxy.start(daemon.port);
    const client = await connect({ address: `${PROXY_HOST}:${daemon.port}`, tokenFile: `${daemon.stateDir}/token` });
    const acknowledged: number[] = [];
    let cuts = 0;
    let last: Cut | null = null as Cut | null;
    for (let index = 0; index < submissions; index++) {
      // A connection that ended behind the last reply is noticed by the next request, which then has its one other try.
      const cut: Cut | null = last?.kind === "after" ? null : chosenCut(chance);
      last = cut;
      if (cut !== null) cuts++;
      proxy.next = cut;
      const { first } = await client.call("job.add", {
        class: "none",
        cmd: `echo ${index}`,
        cp_results: null,
        count: 1,
        retry: null,
        timeout: null,
        tag: null,
        notify: false,
      });
      acknowledged.push(first);
    }
    client.close();
    await proxy.stop();
    const jobs = await daemon.json<{ jid: number; cmd: string }[]>("job", "ls", "0-1000000");
    const commands = new Set(jobs.map((job) => job.cmd));
    const lost = acknowledged.filter((jid, index) => jobs.find((job) => job.jid === jid)?.cmd !== `echo ${index}`);
    const violations = Math.abs(jobs.length - submissions) + lost.length;
    report({
      name: "lost-acknowledgement",
      count: submissions,
      violations,
      seed,
      seconds: (performance.now() - startedAt) / 1_000,
      note: `${cuts} cut`,
    });
    expect({ jobs: jobs.length, commands: commands.size, lost }).toEqual({ jobs: submissions, commands: submissions, lost: [] });
    expect(proxy.cuts).toBeGreaterThan(cuts * 0.9);
  },
  timeoutMs(60_000),
);

function chosenCut(chance: () => number): Cut | null {
  const kind = Math.floor(chance() * 4);
  const bytes = Math.floor(chance() * 40);
  return ([null, { kind: "request", bytes }, { kind: "reply", bytes }, { kind: "after" }] as const)[kind] ?? null;
}

/** Passes everything, but for one request as `next` says; the handshake of the new connection passes again. */
class CuttingProxy {
  next: Cut | null = null;
  cuts = 0;
  readonly #open = new Set<Socket>();

  private constructor(
    readonly server: Server,
    readonly port: number,
  ) {
    server.on("connection", (near) => this.#accept(near));
  }

  static async start(port: number): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server, port);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(port, PROXY_HOST, resolve);
    await promise;
    return proxy;
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.server.close(() => resolve());
    await promise;
  }

  #accept(near: Socket): void {
    const far = dial({ host: "127.0.0.1", port: this.port });
    let cutting: Cut | null = null;
    let passed = 0;
    const end = (): void => {
      for (const socket of [near, far]) {
        this.#open.delete(socket);
        socket.destroy();
      }
    };
    const cut = (): void => {
      this.cuts++;
      end();
    };
    for (const socket of [near, far]) {
      this.#open.add(socket);
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", end);
    }
    let messages = 0;
    near.on("data", (bytes: Buffer) => {
      messages++;
      if (this.next !== null && messages > HANDSHAKE_MESSAGES) {
        cutting = this.next;
        this.next = null;
        passed = 0;
      }
      if (cutting?.kind === "request") {
        far.write(bytes.subarray(0, Math.min(cutting.bytes, bytes.length - 1)), cut);
        return;
      }
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      if (cutting === null) {
        near.write(bytes);
        return;
      }
      const allowed = cutting.kind === "reply" ? Math.max(0, cutting.bytes - passed) : bytes.length;
      passed += bytes.length;
      near.write(bytes.subarray(0, allowed), () => {
        // The reply is one small frame: it came in one piece.
        if (cutting?.kind === "after" || allowed < bytes.length) cut();
      });
    });
  }
}
