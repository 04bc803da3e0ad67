/**
 * ssh_config without OpenSSH: the `ssh-config` package reads the files, this file adds what it lacks
 * (`Include`, the system's file, the defaults of ssh_config(5)). Only for hosts where there is no `ssh` to ask;
 * `Match exec` is not executed.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import SSHConfig from "ssh-config";
import type { SshAddress } from "./address.ts";
import { localUserName } from "./local-user.ts";
import type { ReadOptions, SshSettings } from "./options.ts";

const INCLUDE_DEPTH_MAX = 16;
const SYSTEM_FILE = "/etc/ssh/ssh_config";

/** The options for one address, with OpenSSH's defaults filled in. */
export async function readSshConfigFiles(address: SshAddress, settings: SshSettings): Promise<ReadOptions> {
  try {
    const text =
      settings.configFile === undefined
        ? `${await expandFile(join(homedir(), ".ssh/config"), { isRequired: false, depth: 0 })}\n${await expandFile(SYSTEM_FILE, { isRequired: false, depth: 0 })}`
        : await expandFile(settings.configFile, { isRequired: true, depth: 0 });
    const query = address.user === null ? { Host: address.host } : { Host: address.host, User: address.user };
    const computed = SSHConfig.parse(text).compute(query, { ignoreCase: true, matchExec: false });
    return { kind: "options", options: withDefaults(computed, address) };
  } catch (error) {
    return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}

function withDefaults(computed: Record<string, string | string[]>, address: SshAddress): Map<string, string[]> {
  const options = new Map<string, string[]>([
    ["user", [localUserName()]],
    ["port", ["22"]],
    ["hostname", [address.host]],
    ["identityfile", ["id_rsa", "id_ecdsa", "id_ed25519"].map((name) => `~/.ssh/${name}`)],
    ["userknownhostsfile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]],
    ["globalknownhostsfile", ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]],
  ]);
  for (const [keyword, value] of Object.entries(computed)) {
    options.set(keyword.toLowerCase(), Array.isArray(value) ? value : [value]);
  }
  const hostName = options.get("hostname")?.[0] ?? address.host;
  options.set("hostname", [hostName.replaceAll("%h", address.host).replaceAll("%%", "%")]);
  return options;
}

interface ExpandOptions {
  readonly isRequired: boolean;
  readonly depth: number;
}

/** The text of a file with its Include lines replaced by what they name, relative to ~/.ssh or the system's folder. */
async function expandFile(path: string, options: ExpandOptions): Promise<string> {
  if (options.depth > INCLUDE_DEPTH_MAX) throw new Error(`${path}: more than ${INCLUDE_DEPTH_MAX} nested Include lines`);
  const text = await readOptional(path, options.isRequired);
  const folder = path.startsWith("/etc/ssh/") ? "/etc/ssh" : join(homedir(), ".ssh");
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    const include = /^\s*include[\s=]+(.+)$/i.exec(line);
    if (include === null) {
      lines.push(line);
      continue;
    }
    for (const pattern of (include[1] ?? "").trim().split(/\s+/)) {
      for (const file of await filesMatching(pattern.replaceAll('"', ""), folder)) {
        lines.push(await expandFile(file, { isRequired: false, depth: options.depth + 1 }));
      }
    }
  }
  return lines.join("\n");
}

async function filesMatching(pattern: string, folder: string): Promise<string[]> {
  const path = pattern.replace(/^~(?=\/)/, () => homedir());
  const absolute = isAbsolute(path) ? path : join(folder, path);
  if (!/[*?[]/.test(absolute)) return [absolute];
  const fixed = dirname(absolute.slice(0, absolute.search(/[*?[]/) + 1));
  const found = new Bun.Glob(absolute.slice(fixed.length + 1)).scan({ cwd: fixed, absolute: true, onlyFiles: true, dot: true });
  const files: string[] = [];
  try {
    for await (const file of found) files.push(file);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return files.sort();
}

async function readOptional(path: string, isRequired: boolean): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (!isRequired && isMissing(error)) return "";
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
