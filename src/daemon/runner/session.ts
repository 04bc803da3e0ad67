/**
 * The processes of a run: everything in the session that its supervisor leads, also what `timeout(1)`
 * put in a group of its own. A standing supervisor leads its session through many runs: what an earlier one left there
 * says so in its environment. Signals go out here and nowhere else, after the identity of the supervisor
 * has been checked; the supervisor itself is left alone, because it writes the exit code.
 *
 * Requests of one turn share one scan of /proc, so that stopping a thousand runs stays cheap.
 */
import {
  environmentOf,
  hostBootId,
  isDead,
  type ProcessIdentity,
  type ProcessStat,
  readAllProcesses,
  readProcessStat,
} from "./process-identity.ts";
import type { StopSignal } from "./runner.ts";
import { isElsewhere, isSupervising, isSupervisorText } from "./supervisor-process.ts";

/** Processes may fork while we look, and a run that has just begun may have none yet: how long to look again. */
const LOOK_AGAIN_MS = 1_000;
/** On a host where a look takes long: what was forked during one is found by the next. */
const KILL_LOOKS = 5;
const LOOK_EVERY_MS = 5;

/** The session of a run: its supervisor, its job's id, which its processes have in their environment, and its directory. */
export interface RunSession {
  readonly supervisor: ProcessIdentity;
  readonly jid: number;
  readonly directory: string;
}

/** Live processes of the run except the supervisor. Empty when another boot or another process has the pid. */
export function sessionMembers(session: RunSession, processes: readonly ProcessStat[]): ProcessStat[] {
  const { supervisor, jid, directory } = session;
  const members = processes.filter((one) => one.session === supervisor.pid && one.pid !== supervisor.pid && !isDead(one));
  if (members.length === 0) return members;
  const leader = readProcessStat(supervisor.pid);
  if (leader !== null && leader.startTime !== supervisor.startTime) return [];
  // The supervisor has another run by now, or is gone. The kernel does not give its pid away while the session has members,
  // but a later session could have had the same number and lost its leader too: only what names this job is of this run.
  if (leader === null || isDead(leader) || isElsewhere(supervisor.pid, directory)) {
    return members.filter((one) => one.startTime >= supervisor.startTime && jobNamedBy(one.pid) === String(jid));
  }
  return members.filter((one) => !namesAnother(one.pid, jid));
}

/** Does no process of the run live, supervisor included? Errs on the side of false. */
export function isSessionEmpty(session: RunSession): boolean {
  const { supervisor, jid, directory } = session;
  const bootId = hostBootId();
  if (supervisor.bootId !== bootId) return true;
  const leader = readProcessStat(supervisor.pid);
  if (leader !== null && leader.startTime !== supervisor.startTime) return true;
  if (isSupervising(supervisor, directory, bootId)) return false;
  return !readAllProcesses().some(
    (one) => one.session === supervisor.pid && one.pid !== supervisor.pid && !isDead(one) && !namesAnother(one.pid, jid),
  );
}

function namesAnother(pid: number, jid: number): boolean {
  return ![null, String(jid)].includes(jobNamedBy(pid));
}

/** The id of the job that the process was started for, as its environment has it. */
function jobNamedBy(pid: number): string | null {
  return environmentOf(pid, "EXPJOB_JID");
}

interface SignalRequest {
  readonly session: RunSession;
  readonly signal: StopSignal;
  readonly signaled: Set<number>;
  readonly resolve: (processes: number) => void;
}

export class SessionSignals {
  #waiting: SignalRequest[] = [];

  /**
   * Signals every member once, also what is forked meanwhile: for a second, or as long as KILL needs to look five times.
   * Resolves with how many were signaled.
   */
  send(session: RunSession, signal: StopSignal): Promise<number> {
    return new Promise((resolve) => {
      if (this.#waiting.length === 0) setImmediate(() => void this.#flush());
      this.#waiting.push({ session, signal, signaled: new Set(), resolve });
    });
  }

  async #flush(): Promise<void> {
    const requests = this.#waiting;
    this.#waiting = [];
    const bootId = hostBootId();
    const until = performance.now() + LOOK_AGAIN_MS;
    let open = requests.filter((request) => request.session.supervisor.bootId === bootId);
    for (let looks = 0; ; looks++) {
      if (performance.now() > until) open = open.filter((request) => request.signal === "KILL" && looks < KILL_LOOKS);
      if (open.length === 0) break;
      const processes = readAllProcesses();
      const found = open.map((request) => signalMembers(request, { processes, bootId }));
      open = open.filter((_, index) => found[index] !== "done");
      if (open.length > 0) await Bun.sleep(found.includes("found") ? 0 : LOOK_EVERY_MS);
    }
    for (const request of requests) request.resolve(request.signaled.size);
  }
}

/** `found`: members were signaled, they may have forked before; `early`: the job has not begun; `done`: nobody is left to signal. */
function signalMembers(request: SignalRequest, seen: Seen): "found" | "early" | "done" {
  const { session, signal, signaled } = request;
  let look: "found" | "early" | "done" = "done";
  for (const member of sessionMembers(session, seen.processes)) {
    if (signaled.has(member.pid)) continue;
    // Until the supervisor's child has become the job's program, a signal that can be caught would be lost in it.
    if (signal === "TERM" && isSupervisorText(member.pid)) {
      look = "early";
      continue;
    }
    const now = readProcessStat(member.pid);
    if (now === null || isDead(now) || now.startTime !== member.startTime || now.session !== member.session) continue;
    signaled.add(member.pid);
    if (sendSignal(member.pid, signal)) look = "found";
  }
  if (look === "done" && signaled.size === 0 && isSupervising(session.supervisor, session.directory, seen.bootId)) return "early";
  return look;
}

interface Seen {
  readonly processes: readonly ProcessStat[];
  readonly bootId: string;
}

/** false when the process ended first, or is another user's (a setuid program), which we cannot help. */
function sendSignal(pid: number, signal: StopSignal): boolean {
  try {
    process.kill(pid, signal === "0" ? 0 : `SIG${signal}`);
    return true;
  } catch {
    return false;
  }
}
