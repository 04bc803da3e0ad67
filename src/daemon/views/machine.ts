/** A machine as it is sent. */
import { jobOn, type Machine, NO_CLASS, type QuarantineReason } from "../../core/machine.ts";
import { type Problem, problem } from "../../core/problem.ts";
import type { WireMachine } from "../../protocol/methods/machine.ts";
import { isoTime, wireProblem } from "./job.ts";

export function machineView(machine: Machine): WireMachine {
  const reason = reasonOf(machine);
  return {
    addr: machine.addr,
    class: machine.class,
    state: stateOf(machine),
    running: jobOn(machine),
    failures: machine.failures.length,
    reason: reason === null ? null : wireProblem(reason),
    since: isoTime(machine.health.kind === "ok" ? machine.assignment.since : machine.health.since),
  };
}

export function stateOf(machine: Machine): WireMachine["state"] {
  switch (machine.health.kind) {
    case "unreachable":
    case "quarantined":
      return machine.health.kind;
    case "ok":
      // In no class: it is being set up, or waits for that, and can take no job.
      return machine.assignment.kind === "free" && machine.class !== NO_CLASS ? "free" : "busy";
  }
}

function reasonOf(machine: Machine): Problem | null {
  switch (machine.health.kind) {
    case "ok":
      return null;
    case "unreachable":
      return machine.health.problem;
    case "quarantined":
      return quarantineProblem(machine.health.reason);
  }
}

export function quarantineProblem(reason: QuarantineReason): Problem {
  if (reason.kind === "problem") return reason.problem;
  const jobs = reason.failures.map((failure) => failure.jid).join(", ");
  return problem("failures-in-a-row", { count: String(reason.failures.length), jobs });
}
