/**
 * The system that this one grew from, from crates.io: without its lock file, because an old dependency in it does not
 * compile any more, and with a later prettytable-rs, because the tables of the old one crash when a present compiler builds
 * it. Its runner is `true`, so a job costs it nothing but itself.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canConnect } from "../../../scripts/free-port.ts";
import { freePort } from "../../support/free-port.ts";
import { waitFor } from "../../support/wait-for.ts";
import { type Absent, type Subject, timed } from "../measure.ts";
import { amendedCrateOrAbsent } from "./install.ts";
import { SLOTS } from "./slots.ts";
import { Workshop } from "./workshop.ts";

const AMENDED = { version: "0.9.2", dependency: "prettytable-rs", from: "0.8.0", to: "0.10" } as const;
const BUILT = "expjobserver 0.9.2 as its crate builds it, but with prettytable-rs 0.10";
const QUIET = "appenders:\n  none:\n    kind: file\n    path: LOG\nroot:\n  level: error\n  appenders:\n    - none\n";

export async function oldSystemListing(side: number): Promise<Subject | Absent> {
  const old = await OldSystem.open("the old j job matrix ls");
  if (!(old instanceof OldSystem)) return old;
  const values = Array.from({ length: side }, (_, index) => index).join(",");
  // No machine is there: all wait, as ours do.
  const answer = await old.client(
    "job",
    "matrix",
    "add",
    "later",
    "echo {A} {B} {C}",
    old.folder,
    `A=${values}`,
    `B=${values}`,
    `C=${values}`,
  );
  const id = /(\d+)/.exec(answer)?.[1] ?? "0";
  const listed = (await old.client("job", "matrix", "ls", id)).split("\n").length;
  if (listed < side ** 3) throw new Error(`the old client lists ${listed} lines for ${side ** 3} jobs`);
  return {
    name: "the old j job matrix ls",
    how: `${BUILT}, all jobs waiting`,
    once: async () => [await timed(() => old.client("job", "matrix", "ls", id))],
    [Symbol.asyncDispose]: () => old.close(),
  };
}

export async function oldSystemJobs(jobs: number): Promise<Subject | Absent> {
  const old = await OldSystem.open("the old system");
  if (!(old instanceof OldSystem)) return old;
  for (let slot = 0; slot < SLOTS; slot += 1) await old.client("machine", "add", `m${slot}:22`, "slots");
  return {
    name: "the old system",
    how: `${BUILT}, ${SLOTS} machines, runner \`true\`; job add -x ${jobs}, then job ls until none waits or runs`,
    once: async () => {
      const durationMs = await timed(async () => {
        await old.client("job", "add", "slots", "true", old.folder, "-x", String(jobs));
        await waitFor(async () => !/Waiting|Running|Copy/.test(await old.client("job", "ls", "-n", String(jobs))), {
          everyMs: 20,
          timeoutMs: 120_000,
        });
      });
      return [(jobs * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => old.close(),
  };
}

class OldSystem {
  private readonly workshop = new Workshop();

  private constructor(
    private readonly bin: string,
    private readonly port: number,
  ) {}

  static async open(name: string): Promise<OldSystem | Absent> {
    const bin = await amendedCrateOrAbsent("expjobserver", "expjobserver", AMENDED);
    if (typeof bin !== "string") return { ...bin, name };
    const old = new OldSystem(bin, await freePort("127.0.0.1"));
    try {
      await old.start();
      return old;
    } catch (error) {
      await old.close();
      throw error;
    }
  }

  get folder(): string {
    return this.workshop.folder;
  }

  async client(...words: readonly string[]): Promise<string> {
    return await this.workshop.run([join(this.bin, "j"), "--address", `127.0.0.1:${this.port}`, ...words], this.workshop.environment());
  }

  async close(): Promise<void> {
    await this.workshop[Symbol.asyncDispose]();
  }

  private async start(): Promise<void> {
    const { workshop, port } = this;
    mkdirSync(workshop.path("logs"));
    writeFileSync(workshop.path("log.yml"), QUIET.replace("LOG", workshop.path("server.log")));
    const runner = Bun.which("true") ?? "/bin/true";
    const words = [runner, workshop.path("logs"), workshop.path("log.yml"), "--address", `127.0.0.1:${port}`, "--allow_snap_fail"];
    workshop.start([join(this.bin, "expjobserver"), ...words], workshop.environment());
    await waitFor(() => canConnect("127.0.0.1", port), { everyMs: 20, timeoutMs: 20_000, what: () => "the old server" });
  }
}
