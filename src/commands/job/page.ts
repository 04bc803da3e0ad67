/** `job log -l`: logs in less, or in zless where one is compressed; those of another host are fetched first. */
import { constants } from "node:os";
import type { Client } from "../../client/client.ts";
import type { Context } from "../context.ts";
import { Failure } from "../failure.ts";
import { FetchedLogs, isCompressed, presentPath, type WantedLog } from "./log-files.ts";

export interface PagerFlags {
  /** `-R` of less. */
  readonly rawControlCharacters: boolean;
  /** zless whatever the logs are. */
  readonly decompress: boolean;
}

/** @returns the exit code */
export async function pageLogs(
  client: Client,
  what: { readonly logs: readonly WantedLog[]; readonly flags: PagerFlags },
  { surroundings }: Context,
): Promise<number> {
  const { logs, flags } = what;
  const places = logs.map((log) => presentPath(log.path));
  const isZipped = flags.decompress || places.some((path) => path !== null && isCompressed(path));
  const program = pagerPath(isZipped ? "zless" : "less", surroundings.environment["PATH"] ?? "");
  // In this order: signals are still caught while the copies are removed.
  using signals = new CaughtSignals();
  using fetched = new FetchedLogs(client);
  const paths: string[] = [];
  // Of a setup job, which has several logs, all come in one.
  const asked = new Set<number>();
  for (const [index, log] of logs.entries()) {
    const path = places[index] ?? null;
    if (path !== null) paths.push(path);
    else if (!asked.has(log.jid)) {
      asked.add(log.jid);
      const copy = await Promise.race([fetched.fetch(log), signals.any]);
      if (typeof copy === "number") return copy;
      paths.push(copy);
    }
  }
  // Ctrl-C is the pager's: it stops a search, or following a file. Our end would leave it alone with the terminal.
  signals.leaveInterrupts();
  const pager = Bun.spawn([program, ...(flags.rawControlCharacters ? ["-R"] : []), "--", ...paths], {
    stdio: ["inherit", "inherit", "inherit"],
  });
  const ended = await Promise.race([pager.exited.then((code) => (code === 0 ? 0 : 1)), signals.any]);
  if (pager.exitCode === null && pager.signalCode === null) {
    // Told to end, not by Ctrl-C: the pager puts the terminal in order before it goes.
    pager.kill("SIGTERM");
    await pager.exited;
  }
  if (ended === 0) fetched.requireComplete();
  return ended;
}

function pagerPath(program: "less" | "zless", searchPath: string): string {
  const found = Bun.which(program, { PATH: searchPath });
  if (found !== null) return found;
  throw new Failure("no-pager", `${program} is not installed on this host.`, "Leave out -l to get the path, or take -t.");
}

/** Signals that would end us with copies of logs left behind, or with a pager alone at the terminal. */
class CaughtSignals implements Disposable {
  readonly #caught = Promise.withResolvers<number>();
  #ignoresInterrupts = false;

  constructor() {
    for (const name of SIGNALS) process.on(name, this.#handle);
  }

  /** Resolves with the exit code of whom a signal ends. */
  get any(): Promise<number> {
    return this.#caught.promise;
  }

  leaveInterrupts(): void {
    // A handler that does nothing; an ignored signal would be handed down to the pager.
    this.#ignoresInterrupts = true;
  }

  [Symbol.dispose](): void {
    for (const name of SIGNALS) process.off(name, this.#handle);
  }

  readonly #handle = (name: NodeJS.Signals): void => {
    if (name === "SIGINT" && this.#ignoresInterrupts) return;
    this.#caught.resolve(128 + constants.signals[name]);
  };
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
