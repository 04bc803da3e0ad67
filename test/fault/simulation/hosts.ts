/**
 * The hosts that execute runs, and the network between. They survive the daemon: run directories with their claims, jobs
 * that run, requests on their way (a start may arrive long after its sender has died). They know what truly happened: the
 * ledger against which the oracle holds what the daemon believes. They keep what runner.ts promises, and no more:
 * a reboot may lose run directories, claims and statuses that were not synced.
 */
import { type Problem, problem } from "../../../src/core/problem.ts";
import type { RunEnd, RunRequest } from "../../../src/daemon/runner/runner.ts";
import { stage } from "./stage.ts";

/** Where driver runs are executed. */
export const SERVER = "server";

type Phase = "alive" | "exited" | "vanished";

/** One execution, as it truly was. */
export interface Execution {
  readonly request: RunRequest;
  readonly place: string;
  readonly bootId: string;
  readonly startedAt: number;
  phase: Phase;
  exitCode: number | null;
  ignoresTerm: boolean;
  /** Processes that live on when the job's main process has ended. */
  survivors: number;
  endedAt: number | null;
}

/** A run directory. */
export type Directory = { readonly kind: "withdrawn" } | { readonly kind: "begun"; readonly execution: Execution };

export interface Watcher {
  readonly runId: string;
  readonly tell: (end: RunEnd) => void;
}

export class Host {
  bootId: string;
  isReachable = true;
  readonly directories = new Map<string, Directory>();
  /** Rises with every reboot: what was on its way to the one before is gone. */
  life = 0;

  constructor(readonly name: string) {
    this.bootId = `boot-${name}-${this.life}`;
  }
}

export class Hosts {
  readonly executions: Execution[] = [];
  readonly violations: string[] = [];
  /** Programs succeed, nothing goes wrong any more. */
  settling = false;
  private watchers: Watcher[] = [];
  private readonly hosts = new Map<string, Host>();
  private readonly ran = new Set<string>();

  constructor(private readonly onStart: (execution: Execution) => void) {}

  at(name: string): Host {
    let host = this.hosts.get(name);
    if (host === undefined) {
      host = new Host(name);
      this.hosts.set(name, host);
    }
    return host;
  }

  get names(): readonly string[] {
    return [...this.hosts.keys()];
  }

  alive(): readonly Execution[] {
    return this.executions.filter((execution) => execution.phase === "alive");
  }

  /** A start request arrives. @returns what the machine answers */
  begin(place: string, request: RunRequest): "started" | "claimed" {
    const host = this.at(place);
    if (host.directories.has(request.runId)) return "claimed";
    if (this.ran.has(request.runId)) this.violations.push(`run ${request.runId} of job ${request.jid} was executed twice`);
    this.ran.add(request.runId);
    const { dice, time } = stage;
    const execution: Execution = {
      request,
      place,
      bootId: host.bootId,
      startedAt: time.now,
      phase: "alive",
      exitCode: null,
      ignoresTerm: !this.settling && dice.chance(0.15),
      survivors: 0,
      endedAt: null,
    };
    this.executions.push(execution);
    host.directories.set(request.runId, { kind: "begun", execution });
    this.onStart(execution);
    const exitCode = dice.chance(0.65) ? 0 : dice.of([1, 2, 137] as const);
    time.after(dice.delayMs(50, 400_000), "world", () => this.exit(execution, this.settling ? 0 : exitCode));
    return "started";
  }

  /** A program ends and its supervisor writes the status. */
  exit(execution: Execution, exitCode: number): void {
    if (execution.phase !== "alive") return;
    const { dice, printed } = stage;
    execution.phase = "exited";
    execution.exitCode = exitCode;
    execution.endedAt = stage.time.now;
    execution.survivors = dice.chance(0.1) ? 1 : 0;
    if (dice.chance(0.5)) printed.set(execution.request.log.stdout, ["out"]);
    this.tell(execution.request.runId, execution.place, { kind: "exited", exitCode, at: stage.time.now });
  }

  /** The supervisor is killed: no status. */
  vanish(execution: Execution): void {
    if (execution.phase !== "alive") return;
    execution.phase = "vanished";
    execution.survivors = stage.dice.chance(0.3) ? 1 : 0;
    const end: RunEnd = { kind: "lost", problem: problem("supervisor-gone"), sessionEmpty: execution.survivors === 0 };
    this.tell(execution.request.runId, execution.place, end);
  }

  signal(execution: Execution, kill: boolean): void {
    if (kill) execution.survivors = 0;
    if (kill || !execution.ignoresTerm) this.exit(execution, kill ? 137 : 143);
    if (kill) execution.survivors = 0;
  }

  /** Its runs die, and with them what was not synced. */
  reboot(name: string): void {
    const host = this.at(name);
    host.life++;
    host.bootId = `boot-${name}-${host.life}`;
    for (const [runId, directory] of host.directories) {
      if (directory.kind === "begun") {
        const { execution } = directory;
        execution.survivors = 0;
        if (execution.phase === "alive") execution.phase = "vanished";
        // Its status may not have been on the disk.
        else if (execution.phase === "exited" && stage.dice.chance(0.2)) execution.phase = "vanished";
      }
      if (stage.dice.chance(0.3)) host.directories.delete(runId);
    }
    this.disconnect(name);
  }

  cut(name: string): void {
    this.at(name).isReachable = false;
    this.disconnect(name);
  }

  watch(watcher: Watcher): void {
    this.watchers.push(watcher);
  }

  /** The daemon is gone. */
  dropWatchers(): void {
    this.watchers = [];
  }

  private disconnect(name: string): void {
    for (const { request } of this.executions.filter((execution) => execution.place === name)) {
      this.told(request.runId, { kind: "disconnected", problem: unreachable(name) });
    }
  }

  private tell(runId: string, place: string, end: RunEnd): void {
    if (this.at(place).isReachable) this.told(runId, end);
  }

  private told(runId: string, end: RunEnd): void {
    const mine = this.watchers.filter((watcher) => watcher.runId === runId);
    if (mine.length === 0) return;
    this.watchers = this.watchers.filter((watcher) => watcher.runId !== runId);
    for (const { tell } of mine) stage.time.after(stage.dice.delayMs(0.5, 300), "daemon", () => tell(end));
  }
}

export function unreachable(machine: string): Problem {
  return problem("unreachable", { machine });
}
