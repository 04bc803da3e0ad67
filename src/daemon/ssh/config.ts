/**
 * From a machine's address to everything a connection needs. OpenSSH itself is the authority (`ssh -G`, about
 * 15 ms); on a host without it the same keywords come from config-file.ts. Host keys are always strict here,
 * whatever StrictHostKeyChecking says. Owns no connection and reads no key.
 */
import { homedir, hostname, userInfo } from "node:os";
import * as shlex from "shlex";
import { type Problem, problem } from "../../core/problem.ts";
import { parseSshAddress, type SshAddress } from "./address.ts";
import { readSshConfigFiles } from "./config-file.ts";
import { localUserName } from "./local-user.ts";
import { askOpenSsh, type SshOptions, type SshSettings } from "./options.ts";

export interface SshTarget {
  /** The address as added to the pool. */
  readonly machine: string;
  /** The host or alias in it, which is what ssh_config knows. */
  readonly originalHost: string;
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  readonly identityFiles: readonly IdentityFile[];
  readonly identitiesOnly: boolean;
  /** Path of the agent's socket; null: no agent is to be used. */
  readonly agentSocket: string | null;
  readonly proxy: ProxyWay;
  readonly knownHostsFiles: readonly string[];
  readonly hostKeyAlias: string | null;
  readonly connectTimeoutMs: number | null;
  readonly addressFamily: "any" | "inet" | "inet6";
}

export interface IdentityFile {
  readonly path: string;
  /** Named by --identity. */
  readonly explicit: boolean;
}

export type ProxyWay =
  | { readonly kind: "none" }
  /** From here to the machine, each an address of its own. */
  | { readonly kind: "jump"; readonly hops: readonly string[] }
  /** Executed as words, never by a shell. */
  | { readonly kind: "command"; readonly words: readonly string[] };

export type Resolved = { readonly kind: "target"; readonly target: SshTarget } | { readonly kind: "invalid"; readonly problem: Problem };

/** Resolves `machine`; a configuration that cannot be used is a problem with the reason in `message`. */
export async function resolveSshTarget(machine: string, settings: SshSettings): Promise<Resolved> {
  const address = parseSshAddress(machine);
  if (address === null) return invalid(machine, "not an address: host, host:port, user@host:port, [v6]:port or an alias");
  const program = settings.sshProgram === undefined ? Bun.which("ssh") : settings.sshProgram;
  const read = program === null ? await readSshConfigFiles(address, settings) : await askOpenSsh(program, address, settings);
  if (read.kind === "failed") return invalid(machine, read.message);
  return targetFrom(machine, { address, options: read.options, settings });
}

interface TargetSource {
  readonly address: SshAddress;
  readonly options: SshOptions;
  readonly settings: SshSettings;
}

function targetFrom(machine: string, source: TargetSource): Resolved {
  const { address, options, settings } = source;
  const first = (keyword: string): string | null => options.get(keyword)?.[0] ?? null;
  const user = address.user ?? first("user") ?? localUserName();
  const port = address.port ?? Number(first("port") ?? "22");
  const hostName = stripBrackets(first("hostname") ?? address.host);
  if (!(port >= 1 && port <= 65535)) return invalid(machine, `port ${first("port")} is not a port`);
  const tokens: Tokens = { hostName, originalHost: address.host, port, user };
  const path = (text: string): string => expandPath(text, tokens);
  const proxy = proxyFrom(first("proxyjump"), first("proxycommand"), tokens);
  if (proxy.kind === "refused") return invalid(machine, proxy.message);
  const named = settings.identityFiles ?? [];
  const configured = (options.get("identityfile") ?? []).filter((file) => file !== "none").map(path);
  const userKnownHosts =
    settings.knownHostsFile === undefined ? fileList(options, "userknownhostsfile").map(path) : [settings.knownHostsFile];
  const seconds = Number(first("connecttimeout") ?? "0");
  const alias = first("hostkeyalias");
  return {
    kind: "target",
    target: {
      machine,
      originalHost: address.host,
      hostName,
      port,
      user,
      identityFiles: [
        ...named.map((file) => ({ path: file, explicit: true })),
        ...configured.filter((file) => !named.includes(file)).map((file) => ({ path: file, explicit: false })),
      ],
      identitiesOnly: first("identitiesonly") === "yes",
      agentSocket: agentSocketFrom(first("identityagent"), path),
      proxy,
      knownHostsFiles: [...userKnownHosts, ...fileList(options, "globalknownhostsfile").map(path)],
      hostKeyAlias: alias === null ? null : expandTokens(alias, tokens),
      connectTimeoutMs: seconds > 0 ? seconds * 1000 : null,
      addressFamily: familyFrom(first("addressfamily")),
    },
  };
}

function familyFrom(value: string | null): SshTarget["addressFamily"] {
  return value === "inet" || value === "inet6" ? value : "any";
}

function agentSocketFrom(value: string | null, path: (text: string) => string): string | null {
  if (value === "none") return null;
  if (value === null || value === "SSH_AUTH_SOCK") return process.env.SSH_AUTH_SOCK || null;
  if (/^\$[A-Za-z_]\w*$/.test(value)) return process.env[value.slice(1)] || null;
  return path(value);
}

function proxyFrom(jump: string | null, command: string | null, tokens: Tokens): ProxyWay | { kind: "refused"; message: string } {
  if (jump !== null && jump !== "none") {
    const hops = expandTokens(jump, tokens)
      .split(",")
      .map((hop) => hop.trim().replace(/^ssh:\/\//, ""));
    const bad = hops.find((hop) => parseSshAddress(hop) === null);
    if (bad !== undefined) return { kind: "refused", message: `ProxyJump names ${JSON.stringify(bad)}, which is not an address` };
    return { kind: "jump", hops: hops.map(plainAddress) };
  }
  if (command === null || command === "none") return { kind: "none" };
  const plain = command.trim().replace(/^exec\s+/, "");
  // Quotes and words are enough for nc, socat, cloudflared and `ssh -W`; anything a shell would have to interpret is refused.
  if (/[$`|&;<>()*?{}~\\\n]/.test(plain)) {
    return {
      kind: "refused",
      message: `ProxyCommand ${JSON.stringify(command)} needs a shell, which is not used here; put it in a script of its own`,
    };
  }
  try {
    const words = shlex.split(plain).map((word) => expandTokens(word, tokens));
    if (words.length > 0) return { kind: "command", words };
  } catch (error) {
    return { kind: "refused", message: `ProxyCommand ${JSON.stringify(command)} cannot be split into words: ${String(error)}` };
  }
  return { kind: "refused", message: "ProxyCommand is empty" };
}

/** `ssh -G` puts brackets around every host; without them the hop has the name under which it may stand in the pool itself. */
function plainAddress(hop: string): string {
  return hop.replace(/\[([^\]:]+)\]/, "$1");
}

/** `ssh -G` prints a list of files on one line, separated by spaces. */
function fileList(options: SshOptions, keyword: string): string[] {
  return (options.get(keyword) ?? []).flatMap((value) => value.split(/\s+/)).filter((file) => file !== "" && file !== "none");
}

interface Tokens {
  readonly hostName: string;
  readonly originalHost: string;
  readonly port: number;
  readonly user: string;
}

function expandPath(text: string, tokens: Tokens): string {
  const bare = text.replace(/^"(.*)"$/, "$1").replace(/^~(?=\/|$)/, () => homedir());
  return expandTokens(bare, tokens).replace(/\$\{(\w+)\}/g, (_, name: string) => process.env[name] ?? "");
}

/** The percent tokens of ssh_config(5) that are meaningful here; an unknown one stays as it is. */
function expandTokens(text: string, tokens: Tokens): string {
  return text.replace(/%([%hnprudilL])/g, (_, token: string) => {
    if (token === "%") return "%";
    if (token === "h") return tokens.hostName;
    if (token === "n") return tokens.originalHost;
    if (token === "p") return String(tokens.port);
    if (token === "r") return tokens.user;
    if (token === "u") return localUserName();
    if (token === "d") return homedir();
    if (token === "i") return String(userInfo().uid);
    if (token === "L") return hostname().split(".")[0] ?? "";
    return hostname();
  });
}

function stripBrackets(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}

function invalid(machine: string, message: string): Resolved {
  return { kind: "invalid", problem: problem("ssh-config-invalid", { machine, message }) };
}
