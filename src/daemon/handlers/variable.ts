import type { Handlers } from "../server/handler.ts";
import type { Services } from "./services.ts";

type VariableHandlers = Pick<Handlers, "variable.set" | "variable.list" | "variable.remove">;

export function variableHandlers({ engine, secrets }: Services): VariableHandlers {
  return {
    "variable.set": async ({ name, value, secret }, { requestId }) => {
      // The value is durable before the event that names it; if the event is refused, it is an unnamed leftover.
      if (secret) await secrets.set(name, value);
      await engine.submit({ kind: "set-variable", name, value: secret ? "" : value, secret }, requestId);
      if (!secret) await secrets.remove(name);
      return {};
    },
    "variable.list": async () => {
      const variables = [...engine.state.variables.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      return {
        variables: variables.map((variable) => ({
          name: variable.name,
          value: variable.kind === "plain" ? variable.value : null,
          secret: variable.kind === "secret",
        })),
      };
    },
    "variable.remove": async ({ names }, { requestId }) => {
      const missing = names.filter((name) => !engine.state.variables.has(name));
      await engine.submit({ kind: "remove-variables", names }, requestId);
      for (const name of names) await secrets.remove(name);
      return { missing };
    },
  };
}
