/**
 * The standing supervisors of this host (supervisor.ts is their specification): each is a shell that takes one run after
 * the other, because to start a shell costs more than a short job. Hands each run to an idle one, or starts one, and tells
 * what it says. One that is idle for some seconds goes; all go when this process does, each after the run that it has.
 */

import { SUPERVISOR_FUNCTIONS, type SupervisorRequest, standingArguments, supervisorRequest } from "./supervisor.ts";

export interface StandingSupervisorsOptions {
  /** The run root, absolute: how a later server recognises them. */
  readonly root: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** One run as its supervisor tells of it. Neither rejects. */
export interface SupervisedRun {
  /** The first line without its tag; empty: the supervisor died before it said anything. */
  readonly said: Promise<string>;
  /** After `started`. null: the supervisor is gone, and the run directory has to tell. */
  readonly ended: Promise<SupervisedEnd | null>;
}

export interface SupervisedEnd {
  readonly exitCode: number;
  /** Does a log hold something? */
  readonly hasOutput: boolean;
}

export type StandingStart = Omit<SupervisorRequest, "tag">;

/** How long one stays without a run. */
const IDLE_MS = 5_000;

export class StandingSupervisors {
  readonly #options: StandingSupervisorsOptions;
  /** The last one to become idle is the next to get a run: the others can go. */
  readonly #idle: Supervisor[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(options: StandingSupervisorsOptions) {
    this.#options = options;
  }

  /** @throws the system's error, when no shell can be started: then nothing was. */
  start(run: StandingStart): SupervisedRun {
    const supervisor = this.#rested() ?? new Supervisor(this.#options);
    return supervisor.give(run, () => this.#rest(supervisor));
  }

  /** One that stands without a run. Any that somebody has killed are passed over. */
  #rested(): Supervisor | undefined {
    let supervisor = this.#idle.pop();
    while (supervisor?.isGone === true) supervisor = this.#idle.pop();
    return supervisor;
  }

  #rest(supervisor: Supervisor): void {
    this.#idle.push(supervisor);
    this.#timer ??= setTimeout(() => this.#sweep(), IDLE_MS).unref();
  }

  #sweep(): void {
    this.#timer = null;
    const before = performance.now() - IDLE_MS;
    const rested = this.#idle.findIndex((one) => one.idleSince > before);
    for (const supervisor of this.#idle.splice(0, rested === -1 ? this.#idle.length : rested)) supervisor.dismiss();
    if (this.#idle.length > 0) this.#timer = setTimeout(() => this.#sweep(), IDLE_MS).unref();
  }
}

interface Current {
  readonly tag: string;
  readonly said: (line: string) => void;
  readonly ended: (end: SupervisedEnd | null) => void;
  readonly rest: () => void;
}

class Supervisor {
  idleSince = 0;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  /** Nobody else knows it: what a job writes here by way of /proc is no line of its supervisor. */
  readonly #nonce = crypto.randomUUID().replaceAll("-", "");
  #runs = 0;
  #current: Current | null = null;
  #isGone = false;

  constructor({ root, environment }: StandingSupervisorsOptions) {
    this.#child = Bun.spawn(["/bin/sh", ...standingArguments(root)], {
      detached: true,
      cwd: "/",
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
      env: environment,
    });
    this.#child.unref();
    this.#write(SUPERVISOR_FUNCTIONS);
    void this.#listen();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  give(run: StandingStart, rest: () => void): SupervisedRun {
    const said = Promise.withResolvers<string>();
    const ended = Promise.withResolvers<SupervisedEnd | null>();
    this.#runs += 1;
    const tag = `${this.#nonce}${this.#runs}`;
    this.#current = { tag, said: said.resolve, ended: ended.resolve, rest };
    if (this.#isGone) this.#lose();
    else this.#write(supervisorRequest({ ...run, tag }));
    return { said: said.promise, ended: ended.promise };
  }

  /** It goes when it has read the end of its input. */
  dismiss(): void {
    this.#isGone = true;
    void Promise.resolve(this.#child.stdin.end()).catch(() => undefined);
  }

  #write(text: string): void {
    const { stdin } = this.#child;
    stdin.write(text);
    // Of one that was killed meanwhile the end of its output tells.
    void Promise.resolve(stdin.flush()).catch(() => undefined);
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for await (const chunk of this.#child.stdout) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) this.#hear(line);
      }
    } finally {
      this.#isGone = true;
      // Its last words are all read: what it left in the run directory is complete.
      await this.#child.exited;
      this.#lose();
    }
  }

  #hear(line: string): void {
    const current = this.#current;
    if (current === null || !line.startsWith(`${current.tag} `)) return;
    const text = line.slice(current.tag.length + 1);
    const end = /^ended ([0-9]{1,3}) ([01])$/.exec(text);
    if (end === null) {
      current.said(text);
      if (text.startsWith("started ")) return;
    }
    this.#current = null;
    this.idleSince = performance.now();
    // Idle before it is told: what comes next may be for this one.
    current.rest();
    current.ended(end === null ? null : { exitCode: Number(end[1]), hasOutput: end[2] === "1" });
  }

  #lose(): void {
    const current = this.#current;
    this.#current = null;
    current?.said("");
    current?.ended(null);
  }
}
