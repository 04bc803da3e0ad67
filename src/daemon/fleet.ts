/**
 * The machines as places: which runner executes on one, which shell reaches it, and whether it can be
 * reached. Owns no state of machines; what it finds out goes to the engine as facts.
 */

import type { ClassOptions } from "../config/serve-options.ts";
import { isLocalAddress } from "../core/address.ts";
import type { Fact } from "../core/command.ts";
import { jobOn } from "../core/machine.ts";
import { type Problem, problem } from "../core/problem.ts";
import { machineAt, type State } from "../core/state.ts";
import { type MachineFacts, readMachineFacts } from "./copier/machine-facts.ts";
import type { MachineCheck } from "./handlers/services.ts";
import { LocalMachineShell } from "./local-shell.ts";
import type { DaemonLog } from "./log.ts";
import { type MachineShell, MachineShellError } from "./machine-shell.ts";
import type { Driver } from "./run-program.ts";
import type { Runner } from "./runner/runner.ts";
import { describe } from "./runs.ts";
import type { SshConnections } from "./ssh/connections.ts";
import type { Timers } from "./timers.ts";

export interface FleetOptions {
  readonly state: () => State;
  readonly observe: (fact: Fact) => Promise<void>;
  /** Finds out what became of a job's run on a machine that answers again. */
  readonly attach: (jid: number) => Promise<string>;
  readonly driver: Driver | null;
  readonly classOptions: (className: string) => ClassOptions;
  readonly runners: { readonly local: Runner; readonly driver: Runner | null; readonly ssh: (runRoot: string | null) => Runner };
  readonly ssh: SshConnections;
  readonly timers: Timers;
  readonly now: () => number;
  readonly random: () => number;
  readonly log: DaemonLog;
}

const PROBE_FIRST_MS = 2_000;
const PROBE_MAX_MS = 300_000;

export class Fleet {
  /** How long the next probe of an unreachable machine waits, milliseconds. */
  private readonly probeAfterMs = new Map<string, number>();
  private readonly facts = new Map<string, MachineFacts>();

  constructor(private readonly options: FleetOptions) {}

  /** --runner: the driver; else by address. A class may say otherwise. */
  runnerFor(addr: string, className: string): { readonly runner: Runner; readonly driver: Driver | null } {
    const { runners, driver, classOptions } = this.options;
    const { runner, runRoot } = classOptions(className);
    const kind = runner ?? (driver !== null ? "driver" : isLocalAddress(addr) ? "local" : "ssh");
    switch (kind) {
      case "driver":
        // A class that asks for a driver where none is named gets a runner that says so.
        return runners.driver === null ? { runner: runners.local, driver: { path: "", args: [] } } : { runner: runners.driver, driver };
      case "local":
        return { runner: runners.local, driver: null };
      case "ssh":
        return isLocalAddress(addr) ? { runner: runners.local, driver: null } : { runner: runners.ssh(runRoot), driver: null };
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
      this.options.log.warn(`${addr} does not tell its kernel: ${messageOf(error)}`);
      return null;
    }
  }

  /** The next connection to any machine is tried at once, whatever failed before. */
  forgetConnectFailures(): void {
    this.options.ssh.forgetFailures();
  }

  /** `machine check`: now, whatever failed before. One that answers comes back into use. */
  async check(addr: string): Promise<MachineCheck> {
    this.options.ssh.forgetFailures();
    this.facts.delete(addr);
    const startedAt = this.options.now();
    const found = await this.reach(addr);
    const durationMs = this.options.now() - startedAt;
    if (found !== null) {
      await this.options.observe({ kind: "machine-unreachable", addr, problem: found });
      return { problem: found, durationMs, kernel: null };
    }
    await this.answers(addr);
    return { problem: null, durationMs, kernel: (await this.factsOf(addr))?.kernel ?? null };
  }

  /** Tries an unreachable machine again and again, ever more rarely, until it answers or leaves the pool. */
  probeLater(addr: string): void {
    const waitMs = this.probeAfterMs.get(addr) ?? PROBE_FIRST_MS;
    this.probeAfterMs.set(addr, Math.min(waitMs * 2, PROBE_MAX_MS));
    // Machines behind one switch come back together: jitter keeps them from being asked together.
    const at = this.options.now() + waitMs * (0.75 + this.options.random() / 2);
    this.options.timers.set(`probe ${addr}`, at, () => void this.probe(addr));
  }

  private async probe(addr: string): Promise<void> {
    if (machineAt(this.options.state(), addr)?.health.kind !== "unreachable") {
      this.probeAfterMs.delete(addr);
      return;
    }
    this.options.ssh.forgetFailures();
    const found = await this.reach(addr);
    if (found === null) {
      await this.answers(addr);
      return;
    }
    this.options.log.debug(`${addr} cannot be reached: ${describe(found)}`);
    await this.options.observe({ kind: "machine-unreachable", addr, problem: found });
    this.probeLater(addr);
  }

  private async reach(addr: string): Promise<Problem | null> {
    try {
      const machine = machineAt(this.options.state(), addr);
      const shell = this.shellFor(addr);
      const process = await shell.run("exit 0");
      await Promise.all([process.collectStderr(1_024), drained(process.stdout)]);
      const status = await process.exited;
      if (status !== 0) return problem("shell-unusable", { machine: addr, message: `exit status ${status}` });
      return machine === undefined || this.usesDriver(machine.class) ? null : await this.runnerFor(addr, machine.class).runner.probe(addr);
    } catch (error) {
      if (error instanceof MachineShellError) return error.problem;
      throw error;
    }
  }

  /** What runs there is taken up again before the machine counts as reachable. */
  private async answers(addr: string): Promise<void> {
    this.probeAfterMs.delete(addr);
    this.options.timers.clear(`probe ${addr}`);
    const machine = machineAt(this.options.state(), addr);
    const jid = machine === undefined ? null : jobOn(machine);
    const state = jid === null ? undefined : this.options.state().jobs.get(jid)?.state.kind;
    if (jid !== null && (state === "starting" || state === "running" || state === "unknown")) {
      if ((await this.options.attach(jid)) === "unreachable") return;
    }
    await this.options.observe({ kind: "machine-reachable", addr });
  }
}

async function drained(bytes: AsyncIterable<Uint8Array>): Promise<number> {
  let total = 0;
  for await (const chunk of bytes) total += chunk.length;
  return total;
}

function messageOf(error: unknown): string {
  return error instanceof MachineShellError ? describe(error.problem) : String(error);
}
