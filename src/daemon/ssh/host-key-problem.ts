/** Words for a refused host key: which key, which file and line, and the command that puts it right. */
import * as shlex from "shlex";
import { type Problem, problem } from "../../core/problem.ts";
import type { SshTarget } from "./config.ts";
import { fingerprint, type HostKeyVerdict, knownHostsName, typeInside } from "./known-hosts.ts";

/** The problem of a verdict that forbids the connection; null when it is allowed. */
export function hostKeyProblem(verdict: HostKeyVerdict, target: SshTarget, key: Uint8Array): Problem | null {
  const file = target.knownHostsFiles[0] ?? "~/.ssh/known_hosts";
  const name = knownHostsName({ hostName: target.hostName, port: target.port, alias: target.hostKeyAlias });
  const data = {
    machine: target.machine,
    host: target.hostName,
    port: String(target.port),
    user: target.user,
    keyType: typeInside(Buffer.from(key)),
    fingerprint: fingerprint(key),
  };
  switch (verdict.kind) {
    case "known":
      return null;
    case "unknown":
      return problem("host-key-unknown", { ...data, file, otherTypes: verdict.otherTypes.join(" "), command: learnCommand(target, file) });
    case "changed":
      return problem("host-key-changed", {
        ...data,
        file: verdict.onFile.file,
        line: String(verdict.onFile.line),
        fingerprintOnFile: fingerprint(verdict.onFile.key),
        command: `ssh-keygen -R ${shlex.quote(name)} -f ${shlex.quote(verdict.onFile.file)} && ${learnCommand(target, file)}`,
      });
    case "revoked":
      return problem("host-key-revoked", {
        ...data,
        file: verdict.onFile.file,
        line: String(verdict.onFile.line),
        fingerprintOnFile: fingerprint(verdict.onFile.key),
      });
    case "certificate-only":
      return problem("host-key-certificate-only", {
        ...data,
        file: verdict.onFile.file,
        line: String(verdict.onFile.line),
        command: learnCommand(target, file),
      });
  }
}

/** ssh-keyscan where it can reach the machine; behind a jump host, or under an alias, only ssh itself can ask. */
function learnCommand(target: SshTarget, file: string): string {
  if (target.proxy.kind !== "none" || target.hostKeyAlias !== null) {
    return `ssh -o StrictHostKeyChecking=ask -o UserKnownHostsFile=${shlex.quote(file)} -p ${target.port} ${shlex.quote(`${target.user}@${target.originalHost}`)} true`;
  }
  const port = target.port === 22 ? "" : `-p ${target.port} `;
  return `ssh-keyscan ${port}${shlex.quote(target.hostName)} >> ${shlex.quote(file)}`;
}
