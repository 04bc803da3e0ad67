/** What a command is given besides its arguments: where to write, how to reach the server, and what surrounds it. */
import type { Client } from "../client/client.ts";
import { formatAddress } from "../config/address.ts";
import { type ClientOptions, resolveClientOptions, type SharedFlags, type Surroundings } from "../config/client-options.ts";
import type { OfflineOutcome, OfflineTask } from "../config/offline-task.ts";
import type { ServeOptions } from "../config/serve-options.ts";
import type { ServeOutcome } from "../config/serve-outcome.ts";
import { VERSION } from "../config/version.ts";
import type { Output } from "./output.ts";

/** Runs the daemon to its end. */
/** @param reread the options as they would be now: the same flags, and config.toml as it has become */
export type Serve = (options: ServeOptions, reread: () => Promise<ServeOptions>) => Promise<ServeOutcome>;

/** Works on the files of the state, without a server. */
export type Offline = (task: OfflineTask) => Promise<OfflineOutcome>;

export interface Context {
  readonly output: Output;
  readonly surroundings: Surroundings;
  /** The flags that lead to the server. */
  readonly shared: SharedFlags;
  readonly serve: Serve;
  readonly offline: Offline;
  /** What is to be said when the server starts: set by the old way of calling it. */
  readonly notes: readonly string[];
  /** What starts this program again: the executable, and a script when it is not compiled. */
  readonly executable: readonly string[];
  /** All words of this call, as typed. */
  readonly argv: readonly string[];
  /** Full names of the flags of this call, in the order in which they stand. */
  readonly givenFlags: readonly string[];
  /** Connects, and closes the connection afterwards, whatever happened. */
  withClient<T>(use: (client: Client, options: ClientOptions) => Promise<T>): Promise<T>;
}

export function createContext(parts: Omit<Context, "withClient">): Context {
  return {
    ...parts,
    withClient: async (use) => {
      const options = await resolveClientOptions(parts.shared, parts.surroundings);
      const { connect } = await import("../client/client.ts");
      const address = formatAddress(options.address);
      const client = await connect({ address, tokenFile: options.tokenFile, version: VERSION });
      try {
        if (client.serverVersion !== VERSION) warnOfVersion(client.serverVersion, parts.output);
        return await use(client, options);
      } finally {
        client.close();
      }
    },
  };
}

function warnOfVersion(serverVersion: string, output: Output): void {
  output.warn(
    `The server is version ${JSON.stringify(serverVersion)}, this client ${JSON.stringify(VERSION)}.`,
    "Restart the server with this version when it suits: running jobs go on.",
  );
}
