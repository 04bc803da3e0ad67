/** What exists on the server right now, asked in a time that somebody who pressed TAB does not notice. No answer is an answer. */
import { Client } from "../../client/client.ts";
import { Connection } from "../../client/connection.ts";
import { resolveClientOptions, type SharedFlags, type Surroundings } from "../../config/client-options.ts";
import { VERSION } from "../../config/version.ts";
import type { CompletionKind, WireCompletion } from "../../protocol/methods/completion.ts";

/** For all of it. Refused connections and tokens are known at once: a server that hangs, or a far one, is what takes this long. */
const TIMEOUT_MS = 400;

/** @returns null when there is no server, it does not let us in, is too slow or too old: then only what is known here is offered */
export async function askForLive(
  kinds: readonly CompletionKind[],
  shared: SharedFlags,
  surroundings: Surroundings,
): Promise<WireCompletion | null> {
  const tooLate = Promise.withResolvers<null>();
  const timer = setTimeout(() => tooLate.resolve(null), TIMEOUT_MS);
  try {
    return await Promise.race([ask(kinds, shared, surroundings), tooLate.promise]);
  } catch {
    // A TAB has no place for errors: the command itself, once it is called, says what is wrong.
    return null;
  } finally {
    clearTimeout(timer);
  }
}

async function ask(kinds: readonly CompletionKind[], shared: SharedFlags, surroundings: Surroundings): Promise<WireCompletion> {
  const { address, tokenFile } = await resolveClientOptions(shared, surroundings);
  const dialling = { address, tokenFile, version: VERSION, timeoutMs: TIMEOUT_MS };
  // Dialled once: waiting for a server that may be starting is for commands.
  const client = new Client(dialling, await Connection.dial(dialling));
  try {
    return await client.call("completion.list", { kinds: [...kinds] });
  } finally {
    client.close();
  }
}
