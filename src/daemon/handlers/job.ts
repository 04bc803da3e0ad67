/** What people ask of jobs: a request becomes a command for the engine, or a view of what is durable. No rule of its own. */
import type { UserCommand } from "../../core/command.ts";
import { liveRetry } from "../../core/decide-job.ts";
import { isEnded } from "../../core/job.ts";
import { driverWords, placeholderNames, UnbalancedQuotes } from "../../core/placeholders.ts";
import { machineAt, type State } from "../../core/state.ts";
import { captureVariables } from "../../core/variables.ts";
import { RequestError } from "../../protocol/error.ts";
import type { jobMethods, WireJob } from "../../protocol/methods/job.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { Selector } from "../../protocol/selector.ts";
import type { Resolved } from "../job-book.ts";
import type { Handlers } from "../server/handler.ts";
import { isoTime, jobView, logEntries, statusOf } from "../views/job.ts";
import { lastRows, type Row, rowView, runningJobs } from "../views/job-list.ts";
import { setupsFor, whyNotRunning } from "../why.ts";
import { followEvents } from "./events.ts";
import { withoutExpired } from "./expired-logs.ts";
import { followLog } from "./job-log.ts";
import { waitForJobs } from "./job-wait.ts";
import { perJob } from "./per-job.ts";
import { chunked, othersTurn, PAGE_ROWS_MAX, ReplySize } from "./reply-size.ts";
import { requestIdReused } from "./request-id.ts";
import type { Services } from "./services.ts";

type JobMethod = keyof typeof jobMethods;

/** Reasons in one answer of `why`: each job has one for each machine of its class. */
const REASONS_MAX = 50_000;

export function jobHandlers(services: Services): Pick<Handlers, JobMethod> {
  const { engine, book, now } = services;
  return {
    "job.add": async (params, { requestId }) => {
      checkCommand(services, params.class, params.cmd);
      const answer = await engine.submit(addCommand(params), requestId);
      if (answer.kind !== "jobs") throw requestIdReused(answer);
      return { first: answer.first, count: answer.count, warnings: addWarnings(services, params, []) };
    },
    "job.list": async (params, { emit }) => {
      const { rows, missing } = await listRows(services, params);
      for (const chunk of chunked(rows, (row) => rowView(book, row, now()))) await emit(chunk);
      return { counts: { ...engine.state.counts }, missing, line: engine.state.line, now: isoTime(now()) };
    },
    "job.show": async ({ ids, after }) => {
      const { jobs, missing } = await book.resolve(ids);
      const shown: WireJob[] = [];
      const size = new ReplySize();
      for (const job of after === undefined ? jobs : jobs.filter(({ jid }) => jid > after)) {
        await othersTurn(shown.length);
        const view = jobView(engine.state, job, now());
        const record = job.state.kind === "done" ? job.state.results?.record : undefined;
        const files = view.files === null && record !== undefined ? await services.readRecordedFiles(record) : null;
        const whole = files === null ? view : { ...view, files: files.map((file) => ({ ...file })) };
        const isFull = shown.length >= PAGE_ROWS_MAX || (shown.length > 0 && !size.fits(whole));
        if (after !== undefined && isFull) return { jobs: shown, missing: missing.slice(), more: true };
        shown.push(size.require(whole));
      }
      return { jobs: shown, missing: missing.slice() };
    },
    "job.cancel": async ({ ids, forget }, { requestId }) => {
      const resolved = await book.resolve(ids);
      const recalled = resolved.jobs.filter((job) => isEnded(job.state));
      const recalledById = new Map(recalled.map((job) => [job.jid, job]));
      const retries = new Map(recalled.map((job) => [job.jid, liveRetry(engine.state, job)?.jid ?? job.jid]));
      const changed = await perJob(services, requestId, {
        resolved,
        concerns: (job) => forget || !isEnded(job.state) || liveRetry(engine.state, job) !== null,
        command: (jids, lenient) => {
          const past = forget || !lenient ? jids.flatMap((jid) => recalledById.get(jid) ?? []) : [];
          return { kind: "cancel-jobs", jids, recalled: past, forget, lenient };
        },
        begin: "highest",
      });
      return { ...changed, ...stillRunning(engine.state, changed.done, (jid) => retries.get(jid) ?? jid) };
    },
    "job.hold": async ({ ids }, { requestId }) =>
      await perJob(services, requestId, {
        resolved: await book.resolve(ids),
        concerns: (job) => job.state.kind === "waiting",
        command: (jids, lenient) => ({ kind: "hold-jobs", jids, lenient }),
        begin: "highest",
      }),
    "job.unhold": async ({ ids }, { requestId }) =>
      await perJob(services, requestId, {
        resolved: await book.resolve(ids),
        concerns: (job) => job.state.kind === "held",
        command: (jids, lenient) => ({ kind: "unhold-jobs", jids, lenient }),
      }),
    "job.logs": async ({ ids, running }) => {
      const { jobs, missing } = running ? { jobs: runningJobs(book), missing: [] } : await book.resolve(ids);
      const size = new ReplySize();
      const logs: Result<"job.logs">["logs"] = [];
      for (const job of jobs) {
        for (const entry of logEntries(job)) logs.push(size.require(await withoutExpired(services, job, entry)));
      }
      return { logs, missing: missing.slice() };
    },
    "job.follow": (params, context) => followLog(services, params, context),
    "job.wait": (params, context) => waitForJobs(services, params, context),
    "job.why": async ({ ids }) => {
      const { jobs, missing } = await book.resolve(ids);
      const gateProblem = services.gateProblem();
      let reasonsLeft = REASONS_MAX;
      const answers = jobs.map((job) => {
        const reasons = whyNotRunning(engine.state, job, { gateProblem }).slice();
        reasonsLeft -= reasons.length;
        if (reasonsLeft < 0) throw new RequestError("limit-exceeded", { what: "reasons", max: REASONS_MAX });
        return { jid: job.jid, status: statusOf(job.state), reasons };
      });
      return { answers, missing: missing.slice() };
    },
    "events.follow": (_params, context) => followEvents(services, context),
  };
}

/** A driver's words are split when the job starts: what cannot be split is refused while someone is there to mend it. */
export function checkCommand(services: Services, className: string, cmd: string): void {
  if (!services.server.splitsWords(className)) return;
  try {
    driverWords(cmd, () => undefined);
  } catch (error) {
    if (error instanceof UnbalancedQuotes) throw new RequestError("bad-command", { reason: "quotes", message: error.message });
    throw error;
  }
}

/** What is accepted but probably not what was meant. */
export function addWarnings(
  { engine }: Services,
  params: { readonly class: string; readonly cmd: string; readonly cp_results: string | null },
  matrixNames: readonly string[],
): { code: string; data: Record<string, string> }[] {
  const { state } = engine;
  const warnings = captureVariables(state, [params.cmd, params.cp_results ?? ""], matrixNames).undefinedNames.map((name) => ({
    code: "placeholder-undefined",
    data: { name },
  }));
  const names = new Set([params.cmd, params.cp_results ?? ""].flatMap(placeholderNames));
  const unused = matrixNames.filter((name) => !names.has(name)).map((name) => ({ code: "variable-unused", data: { name } }));
  return [...warnings, ...unused, ...classWarnings(state, params.class)];
}

/** It waits, which may be meant: machines can be added later. One that a setup job brings is no surprise. */
export function classWarnings(state: State, className: string): { code: string; data: Record<string, string> }[] {
  const inClass = [...state.machines.values()].some((machine) => machine.class === className);
  return inClass || setupsFor(state, className).length > 0 ? [] : [{ code: "class-empty", data: { class: className } }];
}

function addCommand(params: Params<"job.add">): UserCommand {
  return {
    kind: "add-jobs",
    class: params.class,
    cmd: params.cmd,
    copyTo: params.cp_results,
    count: params.count,
    retry: params.retry === null ? null : { maxFailures: params.retry.max_failures },
    timeoutSeconds: params.timeout,
    tag: params.tag,
    notify: params.notify,
  };
}

async function listRows(services: Services, params: Params<"job.list">): Promise<{ rows: readonly Row[]; missing: number[] }> {
  const { book } = services;
  const asRows = (resolved: Pick<Resolved, "jobs">): readonly Row[] => resolved.jobs.map((job) => ({ kind: "job", job }));
  if (params.running) return { rows: asRows({ jobs: runningJobs(book) }), missing: [] };
  if (params.ids.length > 0 && !params.all) {
    const resolved = await book.resolve(params.ids);
    return { rows: asRows(resolved), missing: resolved.missing.slice() };
  }
  const from = params.ids.length === 0 ? 0 : await highest(services, params.ids);
  const limit = params.all ? Number.POSITIVE_INFINITY : params.limit;
  return { rows: await lastRows(book, { limit, collapse: params.collapse, from }), missing: [] };
}

async function highest({ book }: Services, ids: readonly Selector[]): Promise<number> {
  const { jobs, missing } = await book.resolve(ids);
  return Math.max(0, ...missing, jobs.at(-1)?.jid ?? 0);
}

/** Of canceled jobs those that end only when their processes have, and those on machines that cannot be told. */
function stillRunning(
  state: State,
  done: readonly number[],
  standsFor: (jid: number) => number,
): Pick<Result<"job.cancel">, "stopping" | "unreachable"> {
  const stopping: number[] = [];
  const unreachable: { jid: number; machine: string }[] = [];
  for (const jid of done) {
    const job = state.jobs.get(standsFor(jid))?.state;
    if (job?.kind !== "running" && job?.kind !== "starting") continue;
    stopping.push(jid);
    const { machine } = job.run;
    if (machineAt(state, machine)?.health.kind === "unreachable") unreachable.push({ jid, machine });
  }
  return { ...(stopping.length > 0 && { stopping }), ...(unreachable.length > 0 && { unreachable }) };
}
