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
}

/** Carries a command out on jobs named one by one, which must fit, and on members of sets, which are passed over. */
export async function perJob({ engine }: Services, requestId: string | null, options: PerJob): Promise<JobChanges> {
  const { resolved, concerns, command, endedCode = "job-ended" } = options;
  const isRepeated = requestId !== null && engine.state.requests.has(`${requestId}/set`);
  const passed = new Set(
    isRepeated ? [] : resolved.jobs.filter((job) => !resolved.named.has(job.jid) && !concerns(job)).map((job) => job.jid),
  );
  const jids = resolved.jobs.map((job) => job.jid);
  const failed: { id: number; code: string }[] = [];
  // What is missing goes along: a request that is tried again may have forgotten it itself, and its answer is known.
  const named = [...resolved.named];
  const past = new Set(resolved.jobs.filter((job) => isEnded(job.state)).map((job) => job.jid));
  const members = jids.filter((jid) => !resolved.named.has(jid));
  for (const [group, lenient] of [
    [named, false],
    [members, true],
  ] as const) {
    if (group.length === 0) continue;
    const id = requestId === null ? null : `${requestId}${lenient ? "/set" : ""}`;
    const answer = await engine.submit(command(group, lenient), id);
    // One that left the memory is not unknown: it has ended.
    const codeOf = (jid: number, code: string): string => (code === "no-such-job" && past.has(jid) ? endedCode : code);
    if (answer.kind === "per-job") failed.push(...answer.failed.map(({ jid, code }) => ({ id: jid, code: codeOf(jid, code) })));
  }
  const left = new Set([...failed.map(({ id }) => id), ...passed]);
  return { done: [...named, ...members].filter((jid) => !left.has(jid)).sort((a, b) => a - b), failed };
}
