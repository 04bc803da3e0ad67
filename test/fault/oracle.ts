/**
 * The judge outside the daemon. Clients write down what they ask for before they ask and what they were told after;
 * jobs write what they do into a ledger of their own. After a recovery the two are compared with what the server
 * says. The judge knows only cli.md: no rule or file of the server is read.
 */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Shell text around a command: its start and end go to the ledger in one write each, with the run's own id. */
export function ledgered(folder: string, command: string): string {
  const line = (what: string): string => `echo "${what} $EXPJOB_JID $EXPJOB_MACHINE $$ $(date +%s%N)" >>'${join(folder, LEDGER)}'`;
  return `${line("start")}; (${command}); expj_code=$?; ${line("end")}; exit $expj_code`;
}

const LEDGER = "oracle.ledger";
const HISTORY = "oracle.history";

interface Request {
  readonly request: number;
  /** Jobs that it asks for. */
  readonly count: number;
  /** The exit code that each of them will have; null: not judged. */
  readonly exitCode: number | null;
  readonly maxFailures: number;
}

/** What the server says of a job: the keys of cli.md. */
export interface JudgedJob {
  readonly jid: number;
  readonly status: string;
  readonly exit_code: number | null;
  readonly attempt: number;
  readonly retry_of: number | null;
  readonly machine: string | null;
}

export interface Verdict {
  readonly acknowledgedAndAbsent: readonly number[];
  readonly ranTwice: readonly number[];
  readonly attemptsWithoutPolicy: readonly number[];
  readonly neverRequested: readonly number[];
  readonly wrongExitCode: readonly number[];
  /** Said to be done or failed without having begun. */
  readonly untrueEnds: readonly number[];
  /** Began on a machine on which another had not ended. */
  readonly overCommitted: readonly number[];
}

export class Oracle {
  #next = 0;
  readonly #descriptor: number;

  constructor(readonly folder: string) {
    this.#descriptor = openSync(join(folder, HISTORY), "a", 0o600);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  command(text: string): string {
    return ledgered(this.folder, text);
  }

  /** Written and synced before the request leaves. */
  asks(request: Omit<Request, "request">): number {
    const id = this.#next++;
    this.#write({ request: id, ...request });
    return id;
  }

  /** Written and synced when the answer is there. */
  acknowledged(request: number, jids: readonly number[]): void {
    this.#write({ acknowledged: request, jids });
  }

  /** @param jobs all that the server knows, those of the past too */
  judge(jobs: readonly JudgedJob[]): Verdict {
    const requests = new Map<number, Request>();
    const owner = new Map<number, Request>();
    for (const line of readFileSync(join(this.folder, HISTORY), "utf8").split("\n")) {
      if (line === "") continue;
      const entry = JSON.parse(line) as Request | { acknowledged: number; jids: number[] };
      if ("request" in entry) requests.set(entry.request, entry);
      else
        for (const jid of entry.jids)
          owner.set(jid, requests.get(entry.acknowledged) ?? { request: -1, count: 0, exitCode: null, maxFailures: 1 });
    }
    const known = new Map(jobs.map((job) => [job.jid, job]));
    const ledger = readLedger(this.folder);
    const starts = startsIn(ledger);
    // A retry belongs to the request of the job that it retries; one without an acknowledgement to an unanswered request.
    const requestOf = (job: JudgedJob): Request | undefined => {
      for (let at: JudgedJob | undefined = job; at !== undefined; at = at.retry_of === null ? undefined : known.get(at.retry_of)) {
        const request = owner.get(at.jid);
        if (request !== undefined) return request;
      }
      return undefined;
    };
    const asked = [...requests.values()].reduce((sum, request) => sum + request.count, 0);
    const first = jobs.filter((job) => job.retry_of === null);
    return {
      acknowledgedAndAbsent: [...owner.keys()].filter((jid) => !known.has(jid)),
      ranTwice: [...starts].filter(([, count]) => count > 1).map(([jid]) => jid),
      attemptsWithoutPolicy: jobs
        .filter((job) => job.attempt > (requestOf(job)?.maxFailures ?? Number.POSITIVE_INFINITY))
        .map((job) => job.jid),
      neverRequested: first.length > asked ? first.slice(asked).map((job) => job.jid) : [],
      wrongExitCode: jobs
        .filter((job) => {
          const wanted = requestOf(job)?.exitCode ?? null;
          return wanted !== null && (job.status === "done" || job.status === "failed") && job.exit_code !== wanted;
        })
        .map((job) => job.jid),
      untrueEnds: jobs.filter(({ jid, status }) => (status === "done" || status === "failed") && !starts.has(jid)).map(({ jid }) => jid),
      overCommitted: overCommitted(ledger),
    };
  }

  #write(entry: object): void {
    writeSync(this.#descriptor, `${JSON.stringify(entry)}\n`);
    fsyncSync(this.#descriptor);
  }
}

/** How many violations there are in all. */
export function violationsIn(verdict: Verdict): number {
  return Object.values(verdict).reduce((sum, jids) => sum + jids.length, 0);
}

interface LedgerLine {
  readonly what: string;
  readonly jid: number;
  readonly machine: string;
}

function readLedger(folder: string): readonly LedgerLine[] {
  let text: string;
  try {
    text = readFileSync(join(folder, LEDGER), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return [];
  }
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [what = "", jid, machine = ""] = line.split(" ");
    return { what, jid: Number(jid), machine };
  });
}

/** How often each job began. */
function startsIn(ledger: readonly LedgerLine[]): Map<number, number> {
  const starts = new Map<number, number>();
  for (const { what, jid } of ledger) if (what === "start") starts.set(jid, (starts.get(jid) ?? 0) + 1);
  return starts;
}

/** A job that is killed writes no end: only for tests in which none is. */
function overCommitted(ledger: readonly LedgerLine[]): readonly number[] {
  const running = new Map<string, number>();
  const found: number[] = [];
  for (const { what, jid, machine } of ledger) {
    if (what === "end") running.delete(machine);
    else {
      if (running.has(machine)) found.push(jid);
      running.set(machine, jid);
    }
  }
  return found;
}
