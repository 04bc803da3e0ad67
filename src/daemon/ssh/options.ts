/**
 * The options of ssh_config as keywords and values, and how OpenSSH is asked for them. What they mean for a connection
 * is config.ts's; the same from the files alone is config-file.ts's.
 */
import type { SshAddress } from "./address.ts";

/** What the daemon was started with. A file named here takes the place of the user's own. */
export interface SshSettings {
  /** `--ssh-config FILE`: instead of ~/.ssh/config and the system's. */
  readonly configFile?: string;
  /** `--identity FILE`, as often as it was given: tried before the others, in this order. */
  readonly identityFiles?: readonly string[];
  /** `--known-hosts FILE`: instead of UserKnownHostsFile. */
  readonly knownHostsFile?: string;
  /** OpenSSH's `ssh`, for its `-G`; null: read the files ourselves. Default: the one in PATH, if any. */
  readonly sshProgram?: string | null;
}

/** Keywords in lower case with all their values, as `ssh -G` prints them. */
export type SshOptions = ReadonlyMap<string, readonly string[]>;

export type ReadOptions =
  | { readonly kind: "options"; readonly options: SshOptions }
  | { readonly kind: "failed"; readonly message: string };

/** What OpenSSH itself makes of its configuration for an address. */
export async function askOpenSsh(program: string, address: SshAddress, settings: SshSettings): Promise<ReadOptions> {
  const words = [program, "-G"];
  if (settings.configFile !== undefined) words.push("-F", settings.configFile);
  if (address.user !== null) words.push("-l", address.user);
  if (address.port !== null) words.push("-p", String(address.port));
  const child = Bun.spawn([...words, "--", address.host], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (status !== 0) return { kind: "failed", message: stderr.trim() || `ssh -G ended with status ${status}` };
  const options = new Map<string, string[]>();
  for (const line of stdout.split("\n")) {
    const space = line.indexOf(" ");
    if (space < 0) continue;
    const keyword = line.slice(0, space);
    options.set(keyword, [...(options.get(keyword) ?? []), line.slice(space + 1)]);
  }
  return { kind: "options", options };
}
