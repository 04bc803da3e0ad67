/** Jobs, machines and rows as the server sends them, for tests of what is printed. */
import type { WireCounts, WireJob, WireRow } from "../../src/protocol/methods/job.ts";
import type { WireMachine } from "../../src/protocol/methods/machine.ts";
import type { WireMatrix } from "../../src/protocol/methods/matrix.ts";

export const NO_COUNTS: WireCounts = { waiting: 0, held: 0, running: 0, copying: 0, done: 0, failed: 0, canceled: 0, unknown: 0 };

export function wireJob(changes: Partial<WireJob> = {}): WireJob {
  return {
    jid: 7,
    kind: "job",
    status: "waiting",
    class: "c220g5",
    cmd: "bench --size {SIZE} --mode {MODE}",
    cmds: null,
    command_line: "bench --size 4 --mode linear",
    machine: null,
    matrix: null,
    tag: null,
    attempt: 1,
    retry_of: null,
    retried_by: null,
    variables: { SIZE: "4", MODE: "linear" },
    cp_results: "/home/user/results",
    results: [],
    results_path: null,
    files: null,
    exit_code: null,
    signal: null,
    error: null,
    warning: null,
    log: null,
    err_log: null,
    timeout: null,
    notify: false,
    created: "2026-11-22T20:00:00.000Z",
    started: null,
    ended: null,
    duration: null,
    ...changes,
  };
}

export const MACHINE = "c220g5-111207.wisc.cloudlab.us:22";

export const LISTING: { readonly counts: WireCounts; readonly rows: readonly WireRow[] } = {
  counts: { ...NO_COUNTS, running: 1, done: 257, failed: 4, canceled: 12 },
  rows: [
    {
      kind: "matrix",
      id: 5,
      class: "c220g5",
      cmd: "setup-and-run --param0 {I} --param1 {J} --param2 {K}",
      first: 6,
      last: 269,
      counts: { ...NO_COUNTS, done: 248, failed: 4, canceled: 12 },
    },
    row({ jid: 270, status: "done", machine: MACHINE, duration: 3_235, results_path: "/home/user/results/270-bench" }),
    row({
      jid: 271,
      status: "running",
      machine: MACHINE,
      duration: 725,
      cmd: "bench --the --foo baz --with a-rather-long-command-line --that goes on",
    }),
    row({
      jid: 272,
      status: "failed",
      machine: "local/a",
      duration: 121,
      exit_code: 3,
      error: { code: "nonzero-exit", data: { exit_code: "3" } },
      retried_by: 275,
    }),
    row({
      jid: 273,
      status: "unknown",
      machine: "node7.lab:22",
      duration: 86_400,
      error: { code: "rebooted", data: { machine: "node7.lab:22" } },
    }),
    row({ jid: 274, status: "waiting", class: "small" }),
    row({ jid: 275, status: "held" }),
    row({ jid: 276, status: "copying", machine: "node8.lab:22", duration: 5 }),
    row({ jid: 277, status: "canceled", machine: "node8.lab:22", duration: 0.4, error: { code: "canceled", data: {} } }),
  ],
};

export const MACHINES: readonly WireMachine[] = [
  { addr: MACHINE, class: "c220g5", state: "busy", running: 271, failures: 0, reason: null, since: "2026-11-22T20:00:00.000Z" },
  { addr: "local/a", class: "small", state: "free", running: null, failures: 1, reason: null, since: "2026-11-22T20:00:00.000Z" },
  {
    addr: "node7.lab:22",
    class: "small",
    state: "quarantined",
    running: null,
    failures: 4,
    reason: { code: "failures-in-a-row", data: { count: "4", jobs: "12, 14, 15, 18" } },
    since: "2026-11-22T20:00:00.000Z",
  },
];

export const MATRIX: WireMatrix = {
  id: 5,
  class: "c220g5",
  cmd: "bench --size {SIZE} --mode {MODE}",
  cp_results: "/home/user/results",
  keys: [
    { name: "SIZE", values: ["1", "2,5"] },
    { name: "MODE", values: ["linear", "quadratic"] },
  ],
  repeats: 1,
  created: "2026-11-22T20:00:00.000Z",
  counts: { ...NO_COUNTS, done: 3, waiting: 1 },
};

function row(changes: Partial<WireJob>): WireRow {
  return { kind: "job", job: wireJob(changes) };
}
