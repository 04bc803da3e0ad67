/** A start that is proven not to have happened: whose fault it is decides who waits. */
import { describe, expect, test } from "bun:test";
import { apply } from "../../src/core/apply.ts";
import type { Event } from "../../src/core/event.ts";
import { type Problem, problem } from "../../src/core/problem.ts";
import { react } from "../../src/core/react.ts";
import { Lab } from "./lab.ts";

function refused(reason: Problem): Lab {
  const lab = Lab.withMachines("a");
  lab.add();
  lab.dispatch();
  lab.command({ kind: "run-not-started", jid: 0, runId: lab.runId(0), problem: reason });
  return lab;
}

describe("a start refused", () => {
  test.each([problem("command-too-long"), problem("secret-missing", { name: "KEY" }), problem("start-failed", { reason: "command" })])(
    "for the job's own sake ($code) makes it wait, and the job behind it goes first",
    (reason) => {
      const lab = refused(reason);
      expect(lab.stateOf(0, "waiting").notBefore).toBe(lab.now + lab.limits.backOffFirstMs);
      lab.add();
      expect(lab.dispatch()).toEqual(["1@a"]);
    },
  );

  test.each([problem("no-space", { machine: "a", path: "/" }), problem("run-directory-failed", { machine: "a", path: "/" })])(
    "for the machine's disk ($code) keeps jobs off that machine and the job waits for any other",
    (reason) => {
      const lab = refused(reason);
      expect(lab.machine("a").health.kind).toBe("unreachable");
      expect(lab.stateOf(0, "waiting").notBefore).toBeNull();
      lab.command({ kind: "add-machines", addrs: ["b"], class: "fast" });
      expect(lab.dispatch()).toEqual(["0@b"]);
    },
  );

  test("that may be either's fault keeps both apart for a while", () => {
    const lab = refused(problem("start-failed", { machine: "a", reason: "supervisor-died" }));
    expect(lab.machine("a").health.kind).toBe("unreachable");
    expect(lab.stateOf(0, "waiting").notBefore).not.toBeNull();
  });

  test("for the server's own disk blames no machine", () => {
    const lab = refused(problem("run-directory-failed", { path: "/runs" }));
    expect(lab.machine("a").health.kind).toBe("ok");
  });
});

test("a class has its own back-off", () => {
  const lab = Lab.withMachines("a");
  lab.limits = { ...lab.limits, classBackOff: { fast: { backOffFirstMs: 7, backOffMaxMs: 9 } } };
  const jid = lab.running({ retry: { maxFailures: null } });
  lab.exit(jid, 1);
  expect(lab.stateOf(1, "waiting").notBefore).toBe(lab.now + 7);
});

test("a command line that would be longer than any program takes is refused when it is queued", () => {
  const lab = Lab.withMachines("a");
  const value = "x".repeat(60_000);
  lab.command({ kind: "set-variable", name: "A", value, secret: false });
  const many = "{A}".repeat(18);
  expect(
    lab.refusal({
      kind: "add-jobs",
      class: "fast",
      cmd: many,
      copyTo: null,
      count: 1,
      retry: null,
      timeoutSeconds: null,
      tag: null,
      notify: false,
    }),
  ).toBe("limit-exceeded: command-line 1048576");
  const keys = [{ name: "B", values: ["", value] }];
  expect(
    lab.refusal({
      kind: "add-matrix",
      class: "fast",
      cmd: "{B}".repeat(18),
      copyTo: null,
      keys,
      count: 1,
      retry: null,
      timeoutSeconds: null,
      notify: false,
    }),
  ).toBe("limit-exceeded: command-line 1048576");
  expect(lab.add({ cmd: "{A}{A}" })).toBe(0);
});

test("a machine that comes back into use with a job is looked at, because nobody followed the job meanwhile", () => {
  const lab = Lab.withMachines("a");
  lab.running();
  lab.unreachable("a", problem("host-key-changed"));
  const restored: Event = { kind: "machine-recovered", at: lab.now, addr: "a" };
  const probe = [{ kind: "probe-machine", addr: "a" }] as const;
  const after = (event: Event) => react(event, lab.state, apply(lab.state, event));
  expect(after(restored)).toEqual(probe);
  expect(after({ kind: "machine-moved", at: lab.now, addr: "a", class: "x" })).toEqual(probe);
  expect(after({ kind: "machines-added", at: lab.now, addrs: ["a", "b"], class: "x" })).toEqual(probe);
  lab.happen([restored]);
  expect(after({ kind: "machine-moved", at: lab.now, addr: "a", class: "x" })).toEqual([]);
});
