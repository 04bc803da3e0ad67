/** What people read of setup jobs and of the machines that are set up. */
import { describe, expect, test } from "bun:test";
import { renderJobDetails } from "../../src/terminal/job-details.ts";
import { jobJson, machineJson } from "../../src/terminal/job-json.ts";
import { renderJobListing } from "../../src/terminal/job-listing.ts";
import { renderMachineTable } from "../../src/terminal/machine-table.ts";
import { noticeWords } from "../../src/terminal/notice.ts";
import { problemWords, shortProblem } from "../../src/terminal/problem.ts";
import { MACHINES, NO_COUNTS, wireJob } from "./samples.ts";

const WIDE = { width: 120, colours: false };
const WHERE = { command: "make -C {DIR}", command_number: "2", command_count: "3" };
const exited = (more: Record<string, string> = {}) => ({ code: "nonzero-exit", data: { exit_code: "1", ...WHERE, ...more } });
const logs = (name: string) => ({ log: `/logs/${name}`, err_log: `/logs/${name}.err` });
const setup = (more: Parameters<typeof wireJob>[0] = {}) =>
  wireJob({ jid: 7, kind: "setup", cmd: "install", cmds: ["install", "make -C {DIR}", "warm-up"], machine: "node1:22", ...more });

describe("a failed setup", () => {
  test("names the command and its number", () => {
    expect(problemWords(exited()).message).toBe('Command 2 of 3 failed with exit code 1: "make -C {DIR}".');
    expect(problemWords(exited({ signal: "SIGSEGV" })).message).toBe('Command 2 of 3 was killed by SIGSEGV: "make -C {DIR}".');
    expect(shortProblem(exited())).toBe("command 2: exit 1");
    expect(problemWords({ code: "timed-out", data: { seconds: "60", ...WHERE } }).message).toBe(
      'Stopped at its timeout of 60 seconds, in command 2 of 3: "make -C {DIR}".',
    );
    expect(shortProblem({ code: "timed-out", data: { seconds: "60", ...WHERE } })).toBe("command 2: timed out");
  });

  test("is why a machine is quarantined, with what to type next", () => {
    const reason = { code: "setup-failed", data: { jid: "7", machine: "node1:22", exit_code: "1", ...WHERE } };
    expect(problemWords(reason)).toEqual({
      message: 'Setup job 7: command 2 of 3 failed with exit code 1: "make -C {DIR}".',
      hint: "See `j job log -l 7`; then set it up again, or put it back as it is with `j machine restore node1:22`.",
    });
    expect(problemWords({ ...reason, data: { ...reason.data, seconds: "60" } }).message).toBe(
      'Setup job 7: stopped at its timeout of 60 seconds, in command 2 of 3: "make -C {DIR}".',
    );
  });

  test("of a command without end does not fill the screen, nor act on it", () => {
    const { message } = problemWords(exited({ command: `\u001b[2J${"x".repeat(60_000)}` }));
    expect(message.length).toBeLessThan(200);
    expect(message).not.toContain("\u001b");
  });
});

describe("a setup job", () => {
  test("is listed by its first command, and without a class with a hyphen", () => {
    const rows = [{ kind: "job" as const, job: setup({ class: "", status: "waiting" }) }];
    const [, , line = ""] = renderJobListing({ counts: NO_COUNTS, rows }, WIDE).split("\n");
    expect(line.trim()).toMatch(/^7 +Waiting +- +install +node1:22$/);
  });

  test("is shown with all its commands, the one under way, and the logs there are", () => {
    const text = renderJobDetails(setup({ status: "running", cmd_logs: [logs("a"), logs("b")], log: "/logs/b" }), WIDE);
    expect(text).toContain("1. install\n");
    expect(text).toContain("2. make -C {DIR} (running)\n");
    expect(text).toContain("3. warm-up\n");
    expect(text).toMatch(/Logs +1\. \/logs\/a\n +2\. \/logs\/b\n/);
    expect(text).toMatch(/Error logs +1\. \/logs\/a\.err\n +2\. \/logs\/b\.err/);
    expect(renderJobDetails(setup({ status: "failed", cmd_logs: [logs("a")] }), WIDE)).toContain("1. install (failed)\n");
    expect(renderJobDetails(setup({ status: "waiting", cmd_logs: [] }), WIDE)).not.toContain("Logs");
  });

  test("says null for a class that it does not have", () => {
    expect(jobJson(setup({ class: "", cmd_logs: [logs("a")] }))).toMatchObject({ class: null, cmd_logs: [logs("a")] });
    expect(jobJson(wireJob())).not.toHaveProperty("cmd_logs");
  });
});

test("a machine in no class has a hyphen in the table, and null in JSON", () => {
  const [first] = MACHINES;
  if (first === undefined) throw new Error("no sample");
  const machine = { ...first, addr: "node1:22", class: "" };
  expect(renderMachineTable([machine], WIDE)).toMatch(/node1:22 +- +busy +271/);
  expect(machineJson(machine).class).toBeNull();
});

test("job why has a sentence for what a setup waits for", () => {
  const words = (code: string, data: Record<string, string>): string => noticeWords({ code, data }).message;
  expect(words("stagger", { until: "2026-11-23T01:02:03.000Z" })).toContain("as --stagger asked");
  expect(words("setup-ahead", { addr: "m", jobs: "3" })).toBe('Machine "m" is to be set up by job 3 first.');
  expect(words("setup-ahead", { addr: "m", jobs: "3, 4" })).toBe('Machine "m" is to be set up by jobs 3, 4 first.');
  expect(words("class-in-setup", { class: "x", jobs: "3, 4, 5" })).toBe('A machine joins class "x" when setup job 3, 4 or 5 is done.');
  expect(words("machine", { addr: "m", state: "half-set-up", setup: "3" })).toBe('Machine "m" is half set up: setup job 3 waits.');
});
