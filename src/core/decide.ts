/** The rules: what a command makes happen in a state, or why it is refused. Pure; see apply.ts for the consequences. */

import type { Command, Context } from "./command.ts";
import { decideClone } from "./decide-clone.ts";
import { decideFact } from "./decide-fact.ts";
import { decideJobCommand } from "./decide-job.ts";
import { decideMachineCommand } from "./decide-machine.ts";
import { decideSetups } from "./decide-setup.ts";
import { accepted, type Decision, refused } from "./decision.ts";
import { isVariableName } from "./names.ts";
import { BUILT_IN_NAMES } from "./placeholders.ts";
import type { State } from "./state.ts";

export function decide(state: State, command: Command, context: Context): Decision {
  switch (command.kind) {
    case "add-machines":
    case "move-machines":
    case "remove-machines":
    case "restore-machines":
      return decideMachineCommand(state, command, context);
    case "set-variable": {
      const { name, value, secret } = command;
      if (!isVariableName(name)) return refused("bad-variable-name", { name });
      if ((BUILT_IN_NAMES as readonly string[]).includes(name)) return refused("bad-variable-name", { name, reason: "built-in" });
      if (new TextEncoder().encode(value).length > context.limits.variableBytesMax)
        return refused("limit-exceeded", { what: "variable", max: context.limits.variableBytesMax });
      if (!state.variables.has(name) && state.variables.size >= context.limits.variablesMax) {
        return refused("limit-exceeded", { what: "variables", max: context.limits.variablesMax });
      }
      return accepted([{ kind: "variable-set", variable: secret ? { kind: "secret", name } : { kind: "plain", name, value } }]);
    }
    case "remove-variables": {
      const present = command.names.filter((name) => state.variables.has(name));
      return accepted(present.map((name) => ({ kind: "variable-removed", name })));
    }
    case "add-setups":
      return decideSetups(state, command, context);
    case "clone-jobs":
      return decideClone(state, command, context);
    case "add-tag":
      return accepted([{ kind: "tag-added", at: context.now, id: state.nextId }], { kind: "tag", id: state.nextId });
    case "set-line": {
      const { jid } = command;
      if (jid !== null && jid >= state.nextId) return refused("no-such-job", { jid });
      return accepted(state.line === jid ? [] : [{ kind: "line-set", after: jid }]);
    }
    case "add-jobs":
    case "add-matrix":
    case "cancel-jobs":
    case "hold-jobs":
    case "unhold-jobs":
    case "set-timeout":
    case "tag-jobs":
      return decideJobCommand(state, command, context);
    case "run-host-known":
    case "run-started":
    case "run-not-started":
    case "run-exited":
    case "run-lost":
    case "run-found":
    case "results-copied":
    case "results-failed":
    case "timeout-reached":
    case "back-off-over":
    case "machine-unreachable":
    case "machine-reachable":
    case "results-changed":
    case "logs-moved":
    case "jobs-in-history":
      return accepted(decideFact(state, command, context));
  }
}
