/**
 * The machines as places: which runner executes on one, which shell reaches it, and whether it can be
 * reached. Owns no state of machines; what it finds out goes to the engine as facts. As long as a machine is
 * unreachable, or holds a job that nobody follows, it is looked at again and again, ever more rarely.
 */

import type { ClassOptions } from "../config/serve-options.ts";
import { isLocalAddress } from "../core/address.ts";
import type { Fact } from "../core/command.ts";
import type { Job, Run, RunnerKind } from "../core/job.ts";
import { jobOn, type Machine } from "../core/machine.ts";
import { type Problem, problem } from "../core/problem.ts";
import { machineAt, type State } from "../core/state.ts";
import { type MachineFacts, readMachineFacts } from "./copier/machine-facts.ts";
import type { MachineCheck } from "./handlers/services.ts";
import { LocalMachineShell } from "./local-shell.ts";
import type { DaemonLog } from "./log.ts";
import { describe, faultOf } from "./log-words.ts";
import { type MachineShell, MachineShellError, type ShellProcess } from "./machine-shell.ts";
import type { Driver } from "./run-program.ts";
import type { Runner } from "./runner/runner.ts";
import type { Executor } from "./runs.ts";
import type { Timers } from "./timers.ts";

export interface FleetOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  /** Goes on with a job where it was left: finds out what became of its run, or copies its results. */
  readonly takeUp: (job: Job) => Promise<"unreachable" | "taken">;
  /** Is somebody at it now, so that its end, or its copy, will be heard of? */
  readonly isAttended: (job: Job) => boolean;
  readonly driver: Driver | null;
  readonly classOptions: (className: string) => Pick<ClassOptions, "runner" | "runRoot">;
  readonly runners: { readonly local: Runner; readonly driver: Runner | null; readonly ssh: (runRoot: string | null) => Runner };
  readonly ssh: { shell(machine: string): MachineShell; forgetFailures(): void; forget(machine: string): void };
  readonly timers: Timers;
  readonly now: () => number;
  readonly random: () => number;
  readonly log: DaemonLog;
  /** A machine that takes longer to say that it is there is not. Default: 30 s. */
  readonly answerTimeoutMs?: number;
  /** Before the first look at a machine; the later ones wait ever longer. Default: 2 s. */
  readonly probeFirstMs?: number;
}

const PROBE_FIRST_MS = 2_000;
const PROBE_MAX_MS = 300_000;
const ANSWER_TIMEOUT_MS = 30_000;
/** What is still to be tidied up on a machine that left goes over the old connection. */
const FORGET_AFTER_MS = 60_000;

export class Fleet {
  /** How long the next look at a machine waits, milliseconds. */
  private readonly probeAfterMs = new Map<string, number>();
  private readonly probing = new Set<string>();
  private readonly facts = new Map<string, MachineFacts>();
  /** Machines whose connection ended and that were not looked at since. */
  private readonly suspected = new Set<string>();

  constructor(private readonly options: FleetOptions) {}

  /** What a new run of that class gets: --runner, else by address; a class may say otherwise. */
  placeFor(addr: string, className: string): Pick<Run, "runner" | "runRoot"> {
    const { runRoot } = this.options.classOptions(className);
    const runner = this.kindFor(addr, className);
    return runner === "ssh" && runRoot !== null ? { runner, runRoot } : { runner };
  }

  /** Who executes this run: as it was chosen when it began, whatever the configuration says now. */
  executorOf(run: Pick<Run, "machine" | "runner" | "runRoot">, className: string): Executor {
    const { runners, driver } = this.options;
    switch (run.runner ?? this.kindFor(run.machine, className)) {
      case "driver":
        // Without a driver its runs are still taken up: local ones are kept in the same place.
        return { runner: runners.driver ?? runners.local, driver: driver ?? { path: "", args: [] }, onThisHost: true };
      case "local":
        return { runner: runners.local, driver: null, onThisHost: true };
      case "ssh":
        return { runner: runners.ssh(run.runRoot ?? null), driver: null, onThisHost: false };
    }
  }

  usesDriver(className: string): boolean {
    const { runner } = this.options.classOptions(className);
    return runner === "driver" || (runner === null && this.options.driver !== null);
  }

  /** Where files of the machine are read; with a driver too, although it runs its own way. */
  shellFor(addr: string): MachineShell {
    return isLocalAddress(addr) ? new LocalMachineShell(addr) : this.options.ssh.shell(addr);
  }

  /** Kernel and processor of the machine, asked once a run of the server. null: it does not tell. */
  async factsOf(addr: string): Promise<MachineFacts | null> {
    const known = this.facts.get(addr);
    if (known !== undefined) return known;
    try {
      const facts = await readMachineFacts(this.shellFor(addr));
      this.facts.set(addr, facts);
      return facts;
    } catch (error) {
      this.options.log.warn(
        `${addr} does not tell its kernel: ${error instanceof MachineShellError ? describe(error.problem) : String(error)}`,
      );
      return null;
    }
  }

  /** The next connection to any machine is tried at once, whatever failed before. */
  forgetConnectFailures(): void {
    this.options.ssh.forgetFailures();
  }

  /**
   * `machine check`: now, whatever failed before. One that answers comes back into use. A driver has its own
   * ways to a machine: that ours fails is said, and changes nothing.
   */
  async check(addr: string): Promise<MachineCheck> {
    this.options.ssh.forgetFailures();
    this.facts.delete(addr);
    const startedAt = this.options.now();
    const found = await this.reach(addr, { shell: true });
    const durationMs = this.options.now() - startedAt;
    const machine = machineAt(this.options.state(), addr);
    if (found !== null) {
      if (machine !== undefined && this.needsShell(machine))
        await this.options.observe({ kind: "machine-unreachable", addr, problem: found });
      return { problem: found, durationMs, kernel: null };
    }
    await this.answers(addr);
    return { problem: null, durationMs, kernel: (await this.factsOf(addr))?.kernel ?? null };
  }

  /** Why the machine cannot be reached now; null: it answers. */
  async problemOf(addr: string): Promise<Problem | null> {
    return await this.reach(addr, { shell: true });
  }

  /** Looks at the machine in a while, if it still needs it then. A look that is due already stays as it is. */
  probeLater(addr: string): void {
    const { timers, now, random } = this.options;
    if (timers.has(`probe ${addr}`) || this.probing.has(addr)) return;
    const waitMs = this.probeAfterMs.get(addr) ?? this.options.probeFirstMs ?? PROBE_FIRST_MS;
    this.probeAfterMs.set(addr, Math.min(waitMs * 2, PROBE_MAX_MS));
    // Machines behind one switch come back together: jitter keeps them from being asked together.
    timers.set(`probe ${addr}`, now() + waitMs * (0.75 + random() / 2), () => void this.probe(addr));
  }

  /** A connection that ends may be the first word of a machine that died: a person sees it, and no job is sent there first. */
  contactLost(addr: string): void {
    const machine = machineAt(this.options.state(), addr);
    if (machine === undefined || !this.needsShell(machine)) return;
    this.suspected.add(addr);
    this.probeLater(addr);
  }

  /** The machine has left the pool. */
  left(addr: string): void {
    const { timers, now, state, ssh } = this.options;
    timers.clear(`probe ${addr}`);
    this.probeAfterMs.delete(addr);
    this.facts.delete(addr);
    this.suspected.delete(addr);
    timers.set(`forget ${addr}`, now() + FORGET_AFTER_MS, () => {
      if (machineAt(state(), addr) === undefined) ssh.forget(addr);
    });
  }

  private kindFor(addr: string, className: string): RunnerKind {
    const { driver, classOptions } = this.options;
    const { runner } = classOptions(className);
    if (runner === "driver" || (runner === null && driver !== null)) return "driver";
    return runner === "local" || isLocalAddress(addr) ? "local" : "ssh";
  }

  /** Never rejects: a defect must not end the looking. */
  private async probe(addr: string): Promise<void> {
    const machine = machineAt(this.options.state(), addr);
    const isSuspected = this.suspected.delete(addr);
    if (machine === undefined || !(isSuspected || this.needsLook(machine))) {
      this.probeAfterMs.delete(addr);
      return;
    }
    this.probing.add(addr);
    try {
      await this.look(machine);
    } catch (error) {
      this.options.log.error(`looking at ${addr}: ${faultOf(error)}`);
    } finally {
      this.probing.delete(addr);
    }
    const after = machineAt(this.options.state(), addr);
    if (after !== undefined && this.needsLook(after)) this.probeLater(addr);
    else this.probeAfterMs.delete(addr);
  }

  private async look(machine: Machine): Promise<void> {
    const { addr } = machine;
    this.options.ssh.forgetFailures();
    const found = await this.reach(addr, { shell: this.needsShell(machine) });
    if (found === null) return await this.answers(addr);
    // Found just now: what went away a moment ago is most often back in a moment.
    if (machine.health.kind === "ok") this.probeAfterMs.delete(addr);
    this.options.log.debug(`${addr} cannot be reached: ${describe(found)}`);
    await this.options.observe({ kind: "machine-unreachable", addr, problem: found });
  }

  private needsLook(machine: Machine): boolean {
    const job = this.jobOf(machine);
    return machine.health.kind === "unreachable" || (job !== undefined && !this.options.isAttended(job));
  }

  /** With a driver no machine is contacted except for results. */
  private needsShell(machine: Machine): boolean {
    return !this.usesDriver(machine.class) || this.jobOf(machine)?.state.kind === "copying";
  }

  private jobOf(machine: Machine): Job | undefined {
    const jid = jobOn(machine);
    return jid === null ? undefined : this.options.state().jobs.get(jid);
  }

  private async reach(addr: string, { shell }: { readonly shell: boolean }): Promise<Problem | null> {
    try {
      const found = shell ? await this.askShell(addr) : null;
      const machine = machineAt(this.options.state(), addr);
      if (found !== null || machine === undefined || (shell && this.usesDriver(machine.class))) return found;
      return await this.executorOf({ machine: addr, ...this.placeFor(addr, machine.class) }, machine.class).runner.probe(addr);
    } catch (error) {
      if (error instanceof MachineShellError) return error.problem;
      this.options.log.error(`asking ${addr}: ${faultOf(error)}`);
      return problem("shell-unusable", { machine: addr, message: String(error) });
    }
  }

  private async askShell(addr: string): Promise<Problem | null> {
    const timeoutMs = this.options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    const silent = Promise.withResolvers<Problem>();
    let process: ShellProcess | null = null;
    const timer = setTimeout(() => {
      process?.kill();
      silent.resolve(problem("shell-unusable", { machine: addr, message: `no answer within ${timeoutMs / 1_000} s` }));
    }, timeoutMs);
    const ask = async (): Promise<Problem | null> => {
      process = await this.shellFor(addr).run("exit 0");
      await Promise.all([process.collectStderr(1_024), drained(process.stdout)]);
      const status = await process.exited;
      return status === 0 ? null : problem("shell-unusable", { machine: addr, message: `exit status ${status}` });
    };
    try {
      return await Promise.race([ask(), silent.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What was left there is taken up again before the machine counts as reachable. */
  private async answers(addr: string): Promise<void> {
    const machine = machineAt(this.options.state(), addr);
    const job = machine === undefined ? undefined : this.jobOf(machine);
    if (job !== undefined && !this.options.isAttended(job) && (await this.options.takeUp(job)) === "unreachable") return;
    await this.options.observe({ kind: "machine-reachable", addr });
  }
}

async function drained(bytes: AsyncIterable<Uint8Array>): Promise<number> {
  let total = 0;
  for await (const chunk of bytes) total += chunk.length;
  return total;
}
