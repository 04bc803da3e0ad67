/**
 * What people ask of variables. The order of secrets file and journal is kept here: the value first, its name second; when
 * a name goes, the other way round. Two changes at once would mix the two orders, so each waits for the one before it.
 */
import type { Handlers } from "../server/handler.ts";
import type { Services } from "./services.ts";

type VariableHandlers = Pick<Handlers, "variable.set" | "variable.list" | "variable.remove">;

export function variableHandlers({ engine, secrets }: Services): VariableHandlers {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(change: () => Promise<Result>): Promise<Result> => {
    const changed = last.then(change);
    // A failure is told to who asked for it; the next one begins anew.
    last = changed.catch(() => undefined);
    return changed;
  };
  return {
    "variable.set": ({ name, value, secret }, { requestId }) =>
      inTurn(async () => {
        // Carried out before: what has been set since then stays.
        if (engine.answerTo(requestId) !== null) return {};
        if (secret) await setSecret({ engine, secrets }, { name, value, requestId });
        else await engine.submit({ kind: "set-variable", name, value, secret }, requestId);
        if (!secret) await secrets.remove(name);
        return {};
      }),
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
    "variable.remove": ({ names }, { requestId }) =>
      inTurn(async () => {
        if (engine.answerTo(requestId) !== null) return { missing: [] };
        const missing = names.filter((name) => !engine.state.variables.has(name));
        await engine.submit({ kind: "remove-variables", names }, requestId);
        for (const name of names) await secrets.remove(name);
        return { missing };
      }),
  };
}

/** The value is durable before the event that names it; when that is refused, what was there before holds again. */
async function setSecret(
  { engine, secrets }: Pick<Services, "engine" | "secrets">,
  { name, value, requestId }: { readonly name: string; readonly value: string; readonly requestId: string | null },
): Promise<void> {
  const before = secrets.get(name);
  await secrets.set(name, value);
  try {
    await engine.submit({ kind: "set-variable", name, value: "", secret: true }, requestId);
  } catch (error) {
    await (before === undefined ? secrets.remove(name) : secrets.set(name, before));
    throw error;
  }
}
