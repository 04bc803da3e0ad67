/**
 * task-spooler: one client process a job, which stays until its job may run and then is its parent. So a queue that is
 * filled beforehand has done most of its work; both ways are measured.
 */
import { existsSync } from "node:fs";
import { type Absent, type Subject, timed } from "../measure.ts";
import { programOrAbsent } from "./install.ts";
import { SLOTS } from "./slots.ts";
import { Workshop } from "./workshop.ts";

const SUBMIT = 'i=0; while [ $i -lt "$JOBS" ]; do "$TSP" true >/dev/null; i=$((i+1)); done';
const DRAIN = 'while "$TSP" -l | grep -Eq "queued|running"; do :; done';

export async function taskSpoolerJobs(jobs: number): Promise<Subject | Absent> {
  const name = "task-spooler";
  const spooler = await Spooler.open(name, jobs);
  if (!(spooler instanceof Spooler)) return spooler;
  return {
    name,
    how: `tsp -S ${SLOTS}; ${jobs} times \`tsp true\` in a shell loop, then tsp -l until none is queued or running`,
    once: async () => {
      const durationMs = await timed(() => spooler.shell(`${SUBMIT}; ${DRAIN}`));
      await spooler.shell('"$TSP" -C');
      return [(jobs * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => spooler.close(),
  };
}

export async function taskSpoolerPassage(jobs: number): Promise<Subject | Absent> {
  const name = "task-spooler, queued before";
  const spooler = await Spooler.open(name, jobs);
  if (!(spooler instanceof Spooler)) return spooler;
  let round = 0;
  return {
    name,
    how: `${jobs} jobs \`true\` queued behind one that blocks the only slot (their client processes wait already); from tsp -S ${SLOTS} to the last end`,
    once: async () => {
      round += 1;
      const go = spooler.workshop.path(`go${round}`);
      if (existsSync(go)) throw new Error("a round began twice");
      await spooler.shell(`"$TSP" -S 1; "$TSP" sh -c 'while [ ! -e ${go} ]; do sleep 0.01; done'; ${SUBMIT}`);
      const durationMs = await timed(() => spooler.shell(`touch ${go}; "$TSP" -S ${SLOTS}; ${DRAIN}`));
      await spooler.shell('"$TSP" -C');
      return [(jobs * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => spooler.close(),
  };
}

class Spooler {
  readonly workshop = new Workshop();

  private constructor(
    private readonly program: string,
    private readonly jobs: number,
  ) {}

  static async open(name: string, jobs: number): Promise<Spooler | Absent> {
    const program = await programOrAbsent("tsp", { name, apt: "task-spooler" });
    return typeof program === "string" ? new Spooler(program, jobs) : program;
  }

  async shell(script: string): Promise<void> {
    const environment = this.workshop.environment({
      TS_SOCKET: this.workshop.path("socket"),
      TS_SLOTS: String(SLOTS),
      // All finished ones are kept until the round is over, as ours are.
      TS_MAXFINISHED: String(this.jobs + 1),
      TSP: this.program,
      JOBS: String(this.jobs),
    });
    await this.workshop.run(["sh", "-c", script], environment);
  }

  async close(): Promise<void> {
    await this.shell('"$TSP" -K');
    await this.workshop[Symbol.asyncDispose]();
  }
}
