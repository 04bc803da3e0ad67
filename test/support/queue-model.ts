/**
 * A simple model of what a person may ask of the server, written from cli.md alone: plain arrays, no rule of the
 * product's code. It says what an answer must be and what a listing must show once all is quiet; on which of the
 * machines of a class a job runs is the server's to choose and is taken over from it.
 */
export interface ModelJob {
  readonly jid: number;
  readonly class: string;
  readonly matrix: number | null;
  tag: number | null;
  readonly variables: Readonly<Record<string, string>>;
  readonly attempt: number;
  readonly maxFailures: number | null;
  readonly retryOf: number | null;
  retriedBy: number | null;
  timeout: number | null;
  status: "waiting" | "held" | "running" | "done" | "failed" | "canceled";
  exitCode: number | null;
  /** As the server chose. */
  machine: string | null;
}

export interface Outcome {
  /** Of `j`. */
  readonly code: 0 | 1;
  readonly jids?: readonly number[];
}

export interface NewJobs {
  readonly class: string;
  readonly count: number;
  readonly maxFailures: number | null;
  readonly timeout: number | null;
  readonly tag: number | null;
}

export class QueueModel {
  readonly jobs = new Map<number, ModelJob>();
  readonly machines = new Map<string, string>();
  readonly variables = new Map<string, string>();
  readonly tags = new Set<number>();
  readonly matrices = new Set<number>();

  constructor(public nextId: number) {}

  addMachine(addr: string, className: string): void {
    this.machines.set(addr, className);
    this.startWhatCan();
  }

  /** A job that runs there is canceled. */
  removeMachine(addr: string): Outcome {
    if (!this.machines.delete(addr)) return { code: 1 };
    for (const job of this.jobs.values()) if (job.status === "running" && job.machine === addr) job.status = "canceled";
    return { code: 0 };
  }

  add(jobs: NewJobs): Outcome {
    if (jobs.tag !== null && !this.tags.has(jobs.tag)) return { code: 1 };
    const value = this.variables.get("V");
    const variables = value === undefined ? {} : { V: value };
    const jids = Array.from({ length: jobs.count }, () => this.create({ ...jobs, matrix: null, variables }));
    this.startWhatCan();
    return { code: 0, jids };
  }

  /** One job for each value of A. */
  addMatrix(className: string, values: readonly string[]): Outcome & { readonly id: number } {
    const id = this.nextId++;
    this.matrices.add(id);
    const value = this.variables.get("V");
    const jids = values.map((A) =>
      this.create({
        class: className,
        maxFailures: 3,
        timeout: null,
        tag: null,
        matrix: id,
        variables: { ...(value === undefined ? {} : { V: value }), A },
      }),
    );
    this.startWhatCan();
    return { code: 0, id, jids };
  }

  hold(jids: readonly number[]): Outcome {
    return this.each(jids, (job) => this.turn(job, "waiting", "held"));
  }

  unhold(jids: readonly number[]): Outcome {
    return this.each(jids, (job) => this.turn(job, "held", "waiting"));
  }

  cancel(jids: readonly number[], forget: boolean): Outcome {
    // As they were when it was asked: a job may be named beside the retry of it, which then is stopped already.
    const live = new Map(
      jids.flatMap((jid) => [this.jobs.get(jid)].flatMap((job) => (job === undefined ? [] : [[jid, this.liveOf(job)] as const]))),
    );
    const gone: number[] = [];
    const outcome = this.each(jids, (job) => {
      const stands = live.get(job.jid) ?? null;
      if (stands !== null) stands.status = "canceled";
      if (forget) gone.push(job.jid, ...(stands === null ? [] : [stands.jid]));
      return stands !== null || forget;
    });
    for (const jid of gone) this.forget(jid);
    return outcome;
  }

  clone(jids: readonly number[], count: number, restart: boolean): Outcome {
    const named = [...new Set(jids)].flatMap((jid) => this.jobs.get(jid) ?? []);
    // What is stopped is the last attempt, and that is what is queued again: once, also when an earlier one is named too.
    const sources = [...new Set(restart ? named.map((job) => this.lastAttemptOf(job)) : named)].sort((a, b) => a.jid - b.jid);
    if (restart) {
      for (const job of sources) {
        const live = this.liveOf(job);
        if (live !== null) live.status = "canceled";
      }
    }
    const made = sources.flatMap((job) => Array.from({ length: count }, () => this.create({ ...job, retryOf: null })));
    this.startWhatCan();
    return { code: named.length < new Set(jids).size ? 1 : 0, jids: made };
  }

  setTimeout(jids: readonly number[], seconds: number): Outcome {
    return this.each(jids, (job) => {
      if (this.liveOf(job) !== job) return false;
      job.timeout = seconds;
      return true;
    });
  }

  newTag(): number {
    const id = this.nextId++;
    this.tags.add(id);
    return id;
  }

  setTag(jids: readonly number[], tag: number | null): Outcome {
    if (tag !== null && !this.tags.has(tag)) return { code: 1 };
    return this.each(jids, (job) => {
      job.tag = tag;
      return true;
    });
  }

  /** The job exits. */
  finish(jid: number, exitCode: number): void {
    const job = this.jobs.get(jid);
    if (job === undefined) throw new Error(`the model has no job ${jid}`);
    job.status = exitCode === 0 ? "done" : "failed";
    job.exitCode = exitCode;
    const again = exitCode !== 0 && job.maxFailures !== null && job.attempt < job.maxFailures;
    if (again) job.retriedBy = this.create({ ...job, attempt: job.attempt + 1, retryOf: jid });
    // Others that wait go first: the retry waits for its back-off.
    const retry = job.retriedBy === null ? undefined : this.jobs.get(job.retriedBy);
    this.startWhatCan(retry);
    this.startWhatCan();
  }

  running(): readonly ModelJob[] {
    return [...this.jobs.values()].filter((job) => job.status === "running");
  }

  private create(
    job: Omit<NewJobs, "count"> & Pick<ModelJob, "matrix" | "variables"> & { attempt?: number; retryOf?: number | null },
  ): number {
    const jid = this.nextId++;
    const { class: className, matrix, tag, variables, maxFailures, timeout } = job;
    const { attempt = 1, retryOf = null } = job.retryOf == null ? {} : { attempt: job.attempt ?? 1, retryOf: job.retryOf };
    this.jobs.set(jid, {
      jid,
      class: className,
      matrix,
      tag,
      variables,
      attempt,
      maxFailures,
      retryOf,
      retriedBy: null,
      timeout,
      status: "waiting",
      exitCode: null,
      machine: null,
    });
    return jid;
  }

  /** In each class, the lowest waiting ids, as many as there are machines without a job. */
  startWhatCan(except?: ModelJob): void {
    for (const className of new Set(this.machines.values())) {
      const members = [...this.machines].filter(([, name]) => name === className).map(([addr]) => addr);
      const busy = this.running().filter((job) => job.machine !== null && members.includes(job.machine)).length;
      const chosen = this.running().filter((job) => job.machine === null && job.class === className).length;
      const waiting = [...this.jobs.values()].filter((job) => job.status === "waiting" && job.class === className && job !== except);
      for (const job of waiting.sort((a, b) => a.jid - b.jid).slice(0, Math.max(0, members.length - busy - chosen))) job.status = "running";
    }
  }

  private each(jids: readonly number[], change: (job: ModelJob) => boolean): Outcome {
    const done = [...new Set(jids)].map((jid) => {
      const job = this.jobs.get(jid);
      return job !== undefined && change(job);
    });
    this.startWhatCan();
    return { code: done.every(Boolean) ? 0 : 1 };
  }

  private turn(job: ModelJob, from: ModelJob["status"], to: ModelJob["status"]): boolean {
    if (job.status !== from) return false;
    job.status = to;
    return true;
  }

  /** The job itself or the retry that goes on in its name; null when all of it has ended. */
  private liveOf(job: ModelJob): ModelJob | null {
    for (let at: ModelJob | undefined = job; at !== undefined; at = at.retriedBy === null ? undefined : this.jobs.get(at.retriedBy)) {
      if (at.status === "waiting" || at.status === "held" || at.status === "running") return at;
    }
    return null;
  }

  private lastAttemptOf(job: ModelJob): ModelJob {
    const next = job.retriedBy === null ? undefined : this.jobs.get(job.retriedBy);
    return next === undefined ? job : this.lastAttemptOf(next);
  }

  private forget(jid: number): void {
    const job = this.jobs.get(jid);
    this.jobs.delete(jid);
    const { matrix } = job ?? { matrix: null };
    if (matrix !== null && ![...this.jobs.values()].some((other) => other.matrix === matrix)) this.matrices.delete(matrix);
  }
}
