/**
 * A state directory with a long past, written by the store itself in seconds: nobody waits for a million jobs to run.
 * The jobs differ as those of a lab do (command, machine, times), and one in ten has results that were copied.
 */
import { existsSync, mkdirSync } from "node:fs";
import { addJobs } from "../../src/core/apply-job.ts";
import { type Job, type JobSpec, NO_JOBS, type Run } from "../../src/core/job.ts";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { putState, withStore } from "../../src/offline/new-state.ts";
import { History } from "../../src/store/history/history.ts";
import { storePaths } from "../../src/store/paths.ts";

const BLOCK = 1_000;
const MACHINES = 50;
const FIRST_AT = Date.UTC(2026, 0);

/** @param stateDir is made, and left as a server leaves it that was stopped */
export async function writePastState(stateDir: string, jobs: number): Promise<void> {
  if (existsSync(stateDir)) throw new Error(`${stateDir} is there already`);
  const umask = process.umask(0o077);
  try {
    mkdirSync(stateDir, { recursive: true });
    await withStore({ stateDir, allowNetworkFs: true }, async (store) => {
      await putState(store, { ...EMPTY_STATE, nextId: jobs, counts: { ...NO_JOBS, done: jobs } });
      const history = new History(storePaths(stateDir).history);
      for (let first = 0; first < jobs; first += BLOCK) {
        await history.write(
          Array.from({ length: Math.min(BLOCK, jobs - first) }, (_, index) => pastJob(first + index)),
          1,
        );
      }
    });
  } finally {
    process.umask(umask);
  }
}

/** A state with so many waiting jobs, each of a request of its own with a command of its own, and no machine. */
export async function writeQueuedState(stateDir: string, { jobs, className }: { jobs: number; className: string }): Promise<void> {
  const umask = process.umask(0o077);
  try {
    await withStore({ stateDir, allowNetworkFs: true }, async (store) => {
      const waiting = Array.from({ length: jobs }, (_, jid) => waitingJob(jid, className));
      await putState(store, addJobs(EMPTY_STATE, waiting));
    });
  } finally {
    process.umask(umask);
  }
}

const specs = new Map<number, JobSpec>();

/** A request for a hundred jobs has one spec. */
function specOf(jid: number): JobSpec {
  const request = Math.floor(jid / 100);
  const known = specs.get(request);
  if (known !== undefined) return known;
  const spec: JobSpec = {
    kind: "job",
    class: `class${request % 5}`,
    cmd: `run-experiment --machine {MACHINE} --seed {JID} --size ${request % 7}`,
    copyTo: "/results/of/the/lab",
    retry: null,
    notify: false,
    variables: {},
    secrets: [],
  };
  if (specs.size > 1_000) specs.clear();
  specs.set(request, spec);
  return spec;
}

function waitingJob(jid: number, className: string): Job {
  const created = FIRST_AT + jid * 20_000;
  return {
    jid,
    spec: {
      kind: "job",
      class: className,
      cmd: `run-experiment --seed ${jid}`,
      copyTo: null,
      retry: null,
      notify: false,
      variables: {},
      secrets: [],
    },
    matrix: null,
    tag: null,
    attempt: 1,
    retryOf: null,
    retriedBy: null,
    timeoutSeconds: null,
    created,
    state: { kind: "waiting", since: created, notBefore: null, problem: null },
  };
}

function pastJob(jid: number): Job {
  const created = FIRST_AT + jid * 20_000;
  const machine = `machine${jid % MACHINES}.lab:22`;
  const log = `/logs/${jid}-run-experiment_--machine_${machine}_--seed_${jid}`;
  const run: Run = { runId: `run${jid.toString(36).padStart(13, "0")}`, machine, runner: "ssh", log, errLog: `${log}.err` };
  const path = `/results/of/the/lab/run-${jid}`;
  const results = { path, fileCount: 1, bytes: 4_096, files: null, record: `/results/of/the/lab/.expjobserver/${jid}.toml` };
  return {
    jid,
    spec: specOf(jid),
    matrix: null,
    tag: null,
    attempt: 1,
    retryOf: null,
    retriedBy: null,
    timeoutSeconds: null,
    created,
    state: {
      kind: "done",
      run,
      startedAt: created + 5_000,
      endedAt: created + 605_000,
      prefixes: jid % 10 === 0 ? [`/tmp/run-${jid}`] : [],
      results: jid % 10 === 0 ? results : null,
      warning: null,
    },
  };
}
