/** pueue: a daemon with one group of 16 slots, one client call a job. It has no call for many jobs at once. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../support/wait-for.ts";
import type { Absent, Subject } from "../measure.ts";
import { timed } from "../measure.ts";
import { crateOrAbsent } from "./install.ts";
import { SLOTS } from "./slots.ts";
import { Workshop } from "./workshop.ts";

export async function pueueJobs(jobs: number): Promise<Subject | Absent> {
  const pueue = await Pueue.open("pueue");
  if (!(pueue instanceof Pueue)) return pueue;
  return {
    name: "pueue",
    how: `pueue parallel ${SLOTS}; ${jobs} times \`pueue add true\` in a shell loop; to the last end by its own clock`,
    once: async () => {
      const startedAt = Date.now();
      await pueue.add(jobs);
      return [(jobs * 1_000) / ((await pueue.lastEnd()) - startedAt)];
    },
    [Symbol.asyncDispose]: () => pueue.close(),
  };
}

export async function pueuePassage(jobs: number): Promise<Subject | Absent> {
  const pueue = await Pueue.open("pueue, queued before");
  if (!(pueue instanceof Pueue)) return pueue;
  return {
    name: "pueue, queued before",
    how: `${jobs} jobs \`true\` added to a paused group; from pueue start to the last end by its own clock`,
    once: async () => {
      await pueue.call("pause");
      await pueue.add(jobs);
      const startedAt = Date.now();
      await pueue.call("start");
      return [(jobs * 1_000) / ((await pueue.lastEnd()) - startedAt)];
    },
    [Symbol.asyncDispose]: () => pueue.close(),
  };
}

/** Single additions, one after the other, with so many queued already. @returns ms */
export async function pueueAdditions({ calls, queued }: { calls: number; queued: number }): Promise<Subject | Absent> {
  const name = queued === 0 ? "pueue, none queued" : `pueue, ${queued} queued`;
  const pueue = await Pueue.open(name);
  if (!(pueue instanceof Pueue)) return pueue;
  await pueue.call("pause");
  await pueue.add(queued);
  return {
    name,
    once: async () => [await timed(() => pueue.add(calls))],
    [Symbol.asyncDispose]: () => pueue.close(),
  };
}

class Pueue {
  private readonly workshop = new Workshop();
  private readonly environment: Record<string, string>;

  private constructor(private readonly bin: string) {
    const { folder } = this.workshop;
    this.environment = this.workshop.environment({
      PUEUE: join(bin, "pueue"),
      CONFIG: this.workshop.path("pueue.yml"),
      XDG_RUNTIME_DIR: folder,
    });
    mkdirSync(this.workshop.path("data"));
    writeFileSync(
      this.workshop.path("pueue.yml"),
      `shared:\n  pueue_directory: ${folder}/data\n  runtime_directory: ${folder}\n  use_unix_socket: true\n  unix_socket_path: ${folder}/socket\nclient: {}\ndaemon: {}\n`,
    );
  }

  static async open(name: string): Promise<Pueue | Absent> {
    const bin = await crateOrAbsent("pueue", "pueued");
    if (typeof bin !== "string") return { ...bin, name };
    const pueue = new Pueue(bin);
    try {
      await pueue.start();
      return pueue;
    } catch (error) {
      await pueue.close();
      throw error;
    }
  }

  async add(jobs: number): Promise<void> {
    const script = 'i=0; while [ $i -lt "$0" ]; do "$PUEUE" -c "$CONFIG" add -- true >/dev/null || exit 1; i=$((i+1)); done';
    await this.workshop.run(["sh", "-c", script, String(jobs)], this.environment);
  }

  async call(...words: readonly string[]): Promise<string> {
    return await this.workshop.run([join(this.bin, "pueue"), "-c", this.workshop.path("pueue.yml"), ...words], this.environment);
  }

  /** When all have ended, by the tasks' own times, which are then cleared. ms since the epoch */
  async lastEnd(): Promise<number> {
    let ends: readonly (number | null)[] = [];
    await waitFor(
      async () => {
        ends = endsOf(await this.call("status", "--json"));
        return !ends.includes(null);
      },
      { everyMs: 200, timeoutMs: 120_000, what: () => "the end of pueue's tasks" },
    );
    await this.call("clean");
    return Math.max(...ends.map(Number));
  }

  async close(): Promise<void> {
    await this.workshop[Symbol.asyncDispose]();
  }

  private async start(): Promise<void> {
    this.workshop.start([join(this.bin, "pueued"), "-c", this.workshop.path("pueue.yml")], this.environment);
    await waitFor(async () => (await this.call("status").catch(() => null)) !== null, { everyMs: 50, timeoutMs: 20_000 });
    await this.call("parallel", String(SLOTS));
  }
}

/** null for each task that has not ended. */
function endsOf(json: string): readonly (number | null)[] {
  const { tasks } = JSON.parse(json) as { tasks: Record<string, { status: { Done?: { end: string } } | string }> };
  return Object.values(tasks).map(({ status }) =>
    typeof status === "object" && status.Done !== undefined ? Date.parse(status.Done.end) : null,
  );
}
