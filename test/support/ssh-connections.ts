/** Connections for tests: with files of their own, closed when they leave the scope. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Problem } from "../../src/core/problem.ts";
import { MachineShellError } from "../../src/daemon/machine-shell.ts";
import type { SshLimits } from "../../src/daemon/ssh/connection.ts";
import { SshConnections, type SshConnectionsOptions } from "../../src/daemon/ssh/connections.ts";
import type { SshSettings } from "../../src/daemon/ssh/options.ts";
import type { Sshd } from "./sshd.ts";

/** Closed at the end of a `using` block. */
export function openConnections(options: SshConnectionsOptions): SshConnections & Disposable {
  const connections = new SshConnections(options);
  return Object.assign(connections, { [Symbol.dispose]: () => connections.close() });
}

/** As the client files of the server say. */
export function connectTo(server: Sshd, limits: Partial<SshLimits> = {}): SshConnections & Disposable {
  return openConnections({ settings: { configFile: server.client.configFile }, limits });
}

export interface FreshSettings {
  /** Where the files are made. */
  readonly folder: string;
  readonly knownHosts: string;
  readonly identityFile: string;
  /** Lines of ssh_config, above ours. */
  readonly configLines?: readonly string[];
}

/** Settings with an ssh_config and a known_hosts made for them, without an agent. */
export function freshSettings(fresh: FreshSettings): SshSettings & { configFile: string; knownHostsFile: string } {
  const files = {
    configFile: join(fresh.folder, `config-${crypto.randomUUID()}`),
    knownHostsFile: join(fresh.folder, `known-${crypto.randomUUID()}`),
  };
  writeFileSync(files.knownHostsFile, fresh.knownHosts);
  writeFileSync(files.configFile, [...(fresh.configLines ?? []), "Host *", "  IdentityAgent none", "  IdentitiesOnly yes", ""].join("\n"));
  return { ...files, identityFiles: [fresh.identityFile] };
}

/** The problem with which `work` was refused. */
export async function problemOf(work: Promise<unknown>): Promise<Problem> {
  try {
    await work;
  } catch (error) {
    if (error instanceof MachineShellError) return error.problem;
    throw error;
  }
  throw new Error("nothing was refused");
}
