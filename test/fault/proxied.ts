/** A machine of a test that is reached through a proxy which cuts, swallows and holds back. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { CutProxy } from "../support/cut-proxy.ts";
import type { TestDaemon } from "../support/daemon.ts";
import type { Sshd } from "../support/sshd.ts";

export interface Proxied {
  readonly proxy: CutProxy;
  /** To be added to the pool. */
  readonly machine: string;
}

/** The server must have been prepared with this machine: its key is taken from there. */
export async function proxied(daemon: TestDaemon, sshd: Sshd): Promise<Proxied> {
  const proxy = await CutProxy.start({ host: sshd.address, port: sshd.port }, sshd.address);
  const machine = `${sshd.address}:${proxy.port}`;
  appendFileSync(join(daemon.folder, "known_hosts"), `${sshd.knownHostsLine().replace(`:${sshd.port} `, `:${proxy.port} `)}\n`);
  return { proxy, machine };
}
