/** Lines of known_hosts that OpenSSH and we pass over: the machine they were meant for is not known. */
import { readFileSync } from "node:fs";
import type { OfflineTask } from "../../config/offline-task.ts";
import { systemCode } from "../../store/store-error.ts";
import type { Findings } from "./findings.ts";

type CheckTask = Extract<OfflineTask, { readonly kind: "check" }>;

export function checkKnownHosts({ knownHosts, namedKnownHosts }: CheckTask, findings: Findings): void {
  for (const file of knownHosts) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      const system = systemCode(error);
      if (namedKnownHosts || system !== "ENOENT") findings.attention("known-hosts-unreadable", { path: file, system });
      continue;
    }
    findings.count("known_hosts files", 1);
    for (const [index, line] of text.split("\n").entries()) {
      const reason = faultOf(line);
      if (reason !== null) findings.attention("known-hosts-line", { path: file, line: String(index + 1), reason });
    }
  }
}

/** sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: [marker] names type key [comment] */
function faultOf(line: string): string | null {
  const words = line.trim().split(/[ \t]+/);
  if (words[0] === "" || words[0]?.startsWith("#")) return null;
  const marker = words[0]?.startsWith("@") === true ? words.shift() : undefined;
  if (marker !== undefined && marker !== "@revoked" && marker !== "@cert-authority") return `${marker} is no marker`;
  const [names, type, base64] = words;
  if (names === undefined || type === undefined || base64 === undefined) return "it has not the three parts names, type and key";
  if (names.startsWith("|") && !/^\|1\|[A-Za-z0-9+/]+=*\|[A-Za-z0-9+/]+=*$/.test(names)) return "its hashed name cannot be read";
  const key = Buffer.from(base64, "base64");
  const length = key.length < 4 ? -1 : key.readUInt32BE(0);
  if (length < 0 || length > 64 || key.toString("latin1", 4, 4 + length) !== type) return `its key is no ${type} key`;
  return null;
}
