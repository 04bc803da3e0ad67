/** Rules for setup jobs: one for each machine, which is known from then on. */
import { isClassName, isMachineName } from "./address.ts";
import type { AddSetups, Context } from "./command.ts";
import { queueOverflow } from "./decide-job.ts";
import { accepted, type Decision, refused } from "./decision.ts";
import type { Event } from "./event.ts";
import { NO_CLASS } from "./machine.ts";
import { substitutedLength } from "./placeholders.ts";
import type { State } from "./state.ts";
import { captureVariables } from "./variables.ts";

export function decideSetups(state: State, command: AddSetups, context: Context): Decision {
  const { cmds, timeoutSeconds, staggerSeconds, notify } = command;
  const addrs = [...new Set(command.addrs)];
  const bad = addrs.find((addr) => !isMachineName(addr));
  if (bad !== undefined) return refused("bad-machine-name", { addr: bad });
  if (command.class !== null && !isClassName(command.class)) return refused("bad-class-name", { class: command.class });
  const [cmd] = cmds;
  if (cmd === undefined || cmds.some((each) => each.trim() === "")) return refused("bad-command", { reason: "empty" });
  if (cmds.some((each) => each.includes("\0"))) return refused("bad-command", { reason: "nul" });
  const { variables, secrets } = captureVariables(state, cmds, []);
  const lengths = new Map(Object.entries(variables).map(([name, value]) => [name, value.length]));
  const max = context.limits.commandLineCharactersMax;
  // With all that it remembers it is shown and sent as one: the limit is for all commands together.
  const remembered = [...lengths.values()].reduce((sum, length) => sum + length, 0);
  const characters = cmds.reduce((sum, each) => sum + substitutedLength(each, lengths), remembered);
  if (characters > max) return refused("limit-exceeded", { what: "command-line", max });
  const overflow = queueOverflow(state, addrs.length, context);
  if (overflow !== null) return overflow;
  const first = state.nextId;
  const events = addrs.map((machine, index): Event => {
    const spec = {
      kind: "setup",
      class: command.class ?? NO_CLASS,
      cmd,
      machine,
      cmds,
      copyTo: null,
      retry: null,
      notify,
      variables,
      secrets,
    } as const;
    const added = { kind: "jobs-added", at: context.now, first: first + index, count: 1, spec, timeoutSeconds, tag: null } as const;
    const delayMs = index * staggerSeconds * 1_000;
    return delayMs === 0 ? added : { ...added, notBefore: context.now + delayMs };
  });
  return accepted(events, { kind: "jobs", first, count: addrs.length });
}
