/** A command on many jobs: those named one by one must fit, members of sets that it does not concern are passed over. */
import type { UserCommand } from "../../core/command.ts";
import { isEnded, type Job } from "../../core/job.ts";
import type { ErrorCode } from "../../protocol/error.ts";
import type { JobChanges } from "../../protocol/methods/job.ts";
import type { Resolved } from "../job-book.ts";
import type { Services } from "./services.ts";

interface PerJob {
  readonly resolved: Resolved;
  /** Asked before the command: a member of a set that it does not concern is passed over, and not said to be done. */
  readonly concerns: (job: Job) => boolean;
  readonly command: (jids: readonly number[], lenient: boolean) => UserCommand;
  /** What is said of one that ended long ago. Default: "job-ended". */
  readonly endedCode?: ErrorCode;
  /**
   * Where a large set begins. Jobs start with the lowest id: what keeps them from it begins at the other end, so that
   * nothing starts meanwhile that would have to be stopped again. Default: "lowest".
   */
  readonly begin?: "lowest" | "highest";
}

interface Group {
  readonly jids: readonly number[];
  readonly lenient: boolean;
  readonly requestId: string | null;
}

/** Sets of more are carried out piece by piece: others have their turn in between. */
const JOBS_AT_ONCE_MAX = 4_096;

/** Carries a command out on jobs named one by one, which must fit, and on members of sets, which are passed over. */
export async function perJob({ engine }: Services, requestId: string | null, options: PerJob): Promise<JobChanges> {
  const { resolved, concerns, command, endedCode = "job-ended", begin = "lowest" } = options;
  // What is missing goes along: a request that is tried again may have forgotten it itself, and its answer is known.
  const named = [...resolved.named];
  const members = resolved.jobs.map((job) => job.jid).filter((jid) => !resolved.named.has(jid));
  const pieces = piecesOf(members, requestId);
  if (begin === "highest") pieces.reverse();
  const isRepeated = pieces.some((piece) => piece.requestId !== null && engine.state.requests.has(piece.requestId));
  const passed = new Set(
    isRepeated ? [] : resolved.jobs.filter((job) => !resolved.named.has(job.jid) && !concerns(job)).map((job) => job.jid),
  );
  const failed: { id: number; code: string }[] = [];
  const past = new Set(resolved.jobs.filter((job) => isEnded(job.state)).map((job) => job.jid));
  for (const { jids, lenient, requestId: id } of [{ jids: named, lenient: false, requestId }, ...pieces]) {
    if (jids.length === 0) continue;
    const answer = await engine.submit(command(jids, lenient), id);
    // One that left the memory is not unknown: it has ended.
    const codeOf = (jid: number, code: string): string => (code === "no-such-job" && past.has(jid) ? endedCode : code);
    if (answer.kind === "per-job") failed.push(...answer.failed.map(({ jid, code }) => ({ id: jid, code: codeOf(jid, code) })));
  }
  const left = new Set([...failed.map(({ id }) => id), ...passed]);
  return { done: [...named, ...members].filter((jid) => !left.has(jid)).sort((a, b) => a - b), failed };
}

/**
 * Each piece has the ids between two fixed numbers and a request id of its own: a request that is tried again, when more
 * jobs may be in the set, does the pieces that are left and no other again.
 */
function piecesOf(members: readonly number[], requestId: string | null): Group[] {
  if (members.length <= JOBS_AT_ONCE_MAX)
    return [{ jids: members, lenient: true, requestId: requestId === null ? null : `${requestId}/set` }];
  const blocks = Map.groupBy(members, (jid) => Math.floor(jid / JOBS_AT_ONCE_MAX));
  return Array.from(blocks, ([block, jids]) => ({
    jids,
    lenient: true,
    requestId: requestId === null ? null : `${requestId}/set/${block}`,
  }));
}
