/**
 * The demo's three machines: SSH servers on 127.0.0.2, .3 and .4, each with a home folder of its own. OpenSSH's sshd
 * when this host has one and a login through it works, else the embedded server. They accept one key, made for this run.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ssh2 from "ssh2";
import { localUserName } from "../../src/daemon/ssh/local-user.ts";
import { startEmbeddedSshServer } from "../embedded-ssh-server.ts";
import { freePort } from "../free-port.ts";
import { findSshd, hasConfinementFolder, OpensshServer, removeConfinementFolder } from "../openssh-server.ts";
import { generateSshKeyPair } from "../ssh-key-pair.ts";

export interface DemoMachine {
  /** As in `j machine add`. */
  readonly address: string;
  readonly home: string;
}

export interface DemoMachines {
  readonly form: "sshd" | "embedded";
  /** Why not sshd; null with sshd. */
  readonly reason: string | null;
  readonly all: readonly DemoMachine[];
  /** They know the key and the host keys of all, and nothing of this user's. */
  readonly sshConfigFile: string;
  readonly knownHostsFile: string;
}

export interface StartMachinesOptions {
  /** Exists and is ours alone. */
  readonly folder: string;
  readonly embedded: boolean;
  /** Takes what must be undone at the end; called before or at the moment it is started. */
  readonly cleanup: (undo: () => Promise<void> | void) => void;
}

interface Keys {
  readonly hostPrivate: string;
  readonly hostPublic: string;
  readonly clientPrivate: string;
  readonly clientPublic: string;
}

interface Plan {
  readonly folder: string;
  readonly home: string;
  readonly address: string;
  readonly keys: Keys;
  readonly cleanup: StartMachinesOptions["cleanup"];
}

const count = 3;
const portTries = 3;
const loginTimeoutMs = 10_000;

export async function startMachines(options: StartMachinesOptions): Promise<DemoMachines> {
  const { folder } = options;
  const plans = plan(options);
  const { reason, ports } = await startServers(plans, options);
  const sshConfigFile = join(folder, "ssh_config");
  const knownHostsFile = join(folder, "known_hosts");
  writeFileSync(
    sshConfigFile,
    [
      "Host *",
      `  IdentityFile "${clientKeyFile(folder)}"`,
      "  IdentitiesOnly yes",
      "  IdentityAgent none",
      "  GlobalKnownHostsFile /dev/null",
      "",
    ].join("\n"),
  );
  writeFileSync(knownHostsFile, plans.map(({ address, keys }, index) => `[${address}]:${ports[index]} ${keys.hostPublic}\n`).join(""));
  const all = plans.map(({ address, home }, index) => ({ address: `${address}:${ports[index]}`, home }));
  return { form: reason === null ? "sshd" : "embedded", reason, all, sshConfigFile, knownHostsFile };
}

interface Servers {
  readonly reason: string | null;
  readonly ports: readonly number[];
}

async function startServers(plans: readonly Plan[], options: StartMachinesOptions): Promise<Servers> {
  const embedded = async (reason: string) => ({ reason, ports: await Promise.all(plans.map(startEmbedded)) });
  if (options.embedded) return await embedded("as asked");
  if (findSshd() === null) return await embedded("this host has no sshd");
  if (!hasConfinementFolder()) options.cleanup(removeConfinementFolder);
  const started = await Promise.allSettled(plans.map(startSshd));
  const ports = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failed = started.find((one) => one.status === "rejected");
  if (failed === undefined) return { reason: null, ports };
  // Containers, locked accounts, login shells that refuse, very old releases: the experiment can go on without it.
  return await embedded(`sshd cannot be used here: ${failed.reason instanceof Error ? failed.reason.message : String(failed.reason)}`);
}

/** Folders and keys, before any server. */
function plan({ folder, cleanup }: StartMachinesOptions): Plan[] {
  const client = generateSshKeyPair();
  writeFileSync(clientKeyFile(folder), client.private, { mode: 0o600 });
  return Array.from({ length: count }, (_, index): Plan => {
    const home = join(folder, `machine-${index + 1}`);
    const serverFolder = join(folder, `sshd-${index + 1}`);
    for (const path of [home, serverFolder]) mkdirSync(path, { mode: 0o700 });
    const host = generateSshKeyPair();
    const keys = { hostPrivate: host.private, hostPublic: host.public, clientPrivate: client.private, clientPublic: client.public };
    return { folder: serverFolder, home, address: `127.0.0.${index + 2}`, keys, cleanup };
  });
}

function clientKeyFile(folder: string): string {
  return join(folder, "id_ed25519");
}

async function startSshd({ folder, home, address, keys, cleanup }: Plan): Promise<number> {
  const hostKeyFile = join(folder, "host_key");
  const authorizedKeysFile = join(folder, "authorized_keys");
  writeFileSync(hostKeyFile, keys.hostPrivate, { mode: 0o600 });
  writeFileSync(authorizedKeysFile, `${keys.clientPublic}\n`, { mode: 0o600 });
  for (let tried = 1; ; tried += 1) {
    const port = await freePort(address);
    const server = new OpensshServer({ folder, address, port, home, hostKeyFiles: [hostKeyFile], authorizedKeysFile });
    cleanup(() => server.kill());
    try {
      await server.start();
    } catch (error) {
      // Somebody else took the port in between.
      if (tried < portTries && error instanceof Error && error.message.includes("in use")) continue;
      throw error;
    }
    await tryLogin({ address, port, keys, home });
    return port;
  }
}

async function startEmbedded({ home, address, keys, cleanup }: Plan): Promise<number> {
  const server = await startEmbeddedSshServer({
    address,
    port: 0,
    hostKey: keys.hostPrivate,
    authorizedKeys: [keys.clientPublic],
    home,
    user: localUserName(),
  });
  cleanup(() => server.close());
  return server.port;
}

/** @throws {Error} unless a command can be run in the machine's own home. */
async function tryLogin(to: { address: string; port: number; keys: Keys; home: string }): Promise<void> {
  const client = new ssh2.Client();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  client.once("error", reject);
  client.once("close", () => reject(new Error("the connection was closed")));
  client.once("ready", () => {
    client.exec('printf %s "$HOME"', (error, channel) => {
      if (error !== undefined) return reject(error);
      let said = "";
      channel.on("data", (bytes: Buffer) => {
        said += bytes.toString();
      });
      channel.stderr.on("data", (bytes: Buffer) => {
        said += bytes.toString();
      });
      channel.once("close", () => resolve(said));
    });
  });
  const expectedKey = Buffer.from(to.keys.hostPublic.split(" ")[1] ?? "", "base64");
  client.connect({
    host: to.address,
    port: to.port,
    username: localUserName(),
    privateKey: to.keys.clientPrivate,
    hostVerifier: (key: Buffer) => key.equals(expectedKey),
    readyTimeout: loginTimeoutMs,
  });
  try {
    const said = await promise;
    if (said !== to.home) throw new Error(`a command on it says: ${said.trim() || "nothing"}`);
  } finally {
    client.end();
  }
}
