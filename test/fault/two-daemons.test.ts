/**
 * Twenty servers that are started at the same moment on one state directory: one serves, the others say who does and
 * end within a second with exit code 5, whoever was killed before. Guarantee D6.
 */
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { waitFor } from "../support/wait-for.ts";
import { count, report, timeoutMs } from "./forms.ts";

const TOGETHER = 20;
const rounds = count("two-daemons", { short: 5, long: 100 });
/** From the moment at which a server holds the lock; 20 at once on two cores take their time to get so far. */
const REFUSED_WITHIN_MS = 1_000;
const HELD = 5;

test(
  `of ${TOGETHER} servers started together exactly one serves, ${rounds} times`,
  async () => {
    const startedAt = performance.now();
    await using daemon = await TestDaemon.prepare();
    let violations = 0;
    const alone: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const outcome = await startTogether(daemon);
      violations += outcome.violations;
      alone.push(outcome.aloneMs);
    }
    const note = `one more is refused in ${Math.max(...alone).toFixed(0)} ms at most`;
    report({ name: "two-daemons", count: rounds, violations, seed: null, seconds: (performance.now() - startedAt) / 1_000, note });
    expect(violations).toBe(0);
    // The quickest: the others may have waited for a processor.
    expect(Math.min(...alone)).toBeLessThan(REFUSED_WITHIN_MS);
  },
  timeoutMs(120_000),
);

async function startTogether(daemon: TestDaemon): Promise<{ readonly violations: number; readonly aloneMs: number }> {
  // Each on a port of its own: it is not the port that keeps them apart.
  const ports: number[] = [];
  while (ports.length < TOGETHER) ports.push(await freePort("127.0.0.1"));
  const servers = ports.map((port, index) => new OneOfMany(daemon, port, index));
  try {
    await waitFor(() => servers.filter((server) => server.exitCode !== null).length >= TOGETHER - 1, {
      what: () => `the end of all but one: ${servers.map((server) => server.exitCode).join(" ")}`,
      timeoutMs: 30_000,
    });
    const [serving, another] = servers.filter((server) => server.exitCode === null);
    if (serving === undefined || another !== undefined) return { violations: 1, aloneMs: 0 };
    await waitFor(async () => await serving.answers(), { what: () => serving.words, timeoutMs: 20_000 });
    const refused = servers.filter((server) => server !== serving);
    const wrong = refused.filter((server) => server.exitCode !== HELD || !server.words.includes(daemon.stateDir));
    for (const server of wrong) console.log(`exit ${server.exitCode}: ${server.words}`);
    const late = performance.now();
    const oneMore = new OneOfMany(daemon, await freePort("127.0.0.1"), TOGETHER);
    const code = await oneMore.exited;
    const aloneMs = performance.now() - late;
    // It names the process that serves.
    const names = oneMore.words.includes(String(serving.pid));
    if (code !== HELD || !names) console.log(`one more: exit ${code}: ${oneMore.words}`);
    return { violations: wrong.length + (code === HELD && names ? 0 : 1), aloneMs };
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
  }
}

/** A server of the same state directory, with a port and words of its own. */
class OneOfMany {
  readonly #child: Bun.Subprocess;
  readonly #errors: string;

  constructor(
    private readonly daemon: TestDaemon,
    private readonly port: number,
    index: number,
  ) {
    this.#errors = join(daemon.folder, `many.${index}.err`);
    const errors = openSync(this.#errors, "w");
    this.#child = Bun.spawn([daemon.binary.expjobserver, ...daemon.serveWords(["--address", `127.0.0.1:${port}`])], {
      cwd: daemon.folder,
      env: daemon.environment,
      stdio: ["ignore", errors, errors],
    });
    closeSync(errors);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  get exited(): Promise<number> {
    return this.#child.exited;
  }

  get words(): string {
    return readFileSync(this.#errors, "utf8");
  }

  async answers(): Promise<boolean> {
    const environment = { ...this.daemon.environment, EXPJOBSERVER_ADDRESS: `127.0.0.1:${this.port}` };
    return (await Bun.spawn([this.daemon.binary.j, "ping"], { env: environment, stdio: ["ignore", "ignore", "ignore"] }).exited) === 0;
  }

  /** kill -9: the next round finds what that leaves. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
