/** What is recorded when results of an ended job are fetched, or moved with its logs, later. */
import { describe, expect, test } from "bun:test";
import { apply } from "../../src/core/apply.ts";
import { runOf } from "../../src/core/job.ts";
import { problem } from "../../src/core/problem.ts";
import { react } from "../../src/core/react.ts";
import { Lab, someResults } from "./lab.ts";

/** A job whose copy failed. */
function uncopied(lab: Lab): number {
  const jid = lab.running({ copyTo: "/results" });
  lab.exit(jid, 0, { prefixes: ["out"] });
  lab.command({ kind: "results-failed", jid, runId: lab.runId(jid), problem: problem("target-unwritable") });
  return jid;
}

describe("results that are fetched after a failed copy", () => {
  test("make the job done, and let go what was kept for them", () => {
    const lab = Lab.withMachines("a");
    const jid = uncopied(lab);
    const before = lab.state;
    const [event] = lab.command({ kind: "results-changed", job: lab.job(jid), results: someResults, recordBefore: null });
    expect(lab.stateOf(jid, "done").results).toEqual(someResults);
    expect(event && react(event, before, apply(before, event))).toEqual([{ kind: "release-run", job: lab.job(jid) }]);
    expect(lab.state.counts).toMatchObject({ done: 1, failed: 0 });
  });

  test("of a job that recorded them only leave it done and give it results; nothing was kept for them", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.exit(jid, 0, { prefixes: ["out"] });
    const before = lab.state;
    const [event] = lab.command({ kind: "results-changed", job: lab.job(jid), results: someResults, recordBefore: null });
    expect(lab.stateOf(jid, "done")).toMatchObject({ results: someResults, prefixes: ["out"] });
    expect(event && react(event, before, apply(before, event))).toEqual([]);
  });

  test("change nothing when the job's results have another record by now", () => {
    const lab = Lab.withMachines("a");
    const jid = uncopied(lab);
    lab.command({ kind: "results-changed", job: lab.job(jid), results: someResults, recordBefore: null });
    const late = { ...someResults, record: "/late/.expjobserver/0.toml" };
    expect(lab.command({ kind: "results-changed", job: lab.job(jid), results: late, recordBefore: null })).toEqual([]);
    expect(lab.command({ kind: "results-changed", job: lab.job(jid), results: late, recordBefore: "/else" })).toEqual([]);
    expect(lab.command({ kind: "results-changed", job: lab.job(jid), results: late, recordBefore: someResults.record })).toHaveLength(1);
  });
});

describe("logs that were moved", () => {
  test("are found at their new paths, whatever became of the job", () => {
    for (const exitCode of [0, 3]) {
      const lab = Lab.withMachines("a");
      const jid = lab.running();
      lab.exit(jid, exitCode);
      const { log, errLog } = runOf(lab.job(jid).state) ?? { log: "", errLog: "" };
      const kind = lab.job(jid).state.kind;
      lab.command({ kind: "logs-moved", job: lab.job(jid), moves: [{ from: log, to: "/new/log" }] });
      expect(lab.job(jid).state.kind).toBe(kind);
      expect(runOf(lab.job(jid).state)).toMatchObject({ log: "/new/log", errLog });
    }
  });

  test("that the job does not have, and logs of a job that runs, change nothing", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    const log = runOf(lab.job(jid).state)?.log ?? "";
    expect(lab.command({ kind: "logs-moved", job: lab.job(jid), moves: [{ from: log, to: "/new" }] })).toEqual([]);
    lab.exit(jid, 0);
    expect(lab.command({ kind: "logs-moved", job: lab.job(jid), moves: [{ from: "/foreign", to: "/new" }] })).toEqual([]);
    expect(lab.command({ kind: "logs-moved", job: lab.job(jid), moves: [{ from: log, to: log }] })).toEqual([]);
  });

  test("of a job of the past bring it back first", () => {
    const lab = Lab.withMachines("a");
    const jid = lab.running();
    lab.exit(jid, 3);
    const job = lab.job(jid);
    lab.command({ kind: "jobs-in-history", jobs: [job] });
    expect(lab.state.jobs.has(jid)).toBe(false);
    const kinds = lab
      .command({ kind: "logs-moved", job, moves: [{ from: runOf(job.state)?.log ?? "", to: "/new/log" }] })
      .map((event) => event.kind);
    expect(kinds).toEqual(["job-recalled", "job-logs-moved"]);
    expect(runOf(lab.job(jid).state)?.log).toBe("/new/log");
  });
});
