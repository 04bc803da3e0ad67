/** Names of machines and classes: what they may look like, and the parts of an address. */

/** guarantees.md, checklist: never the start of an option, never a shell or terminal character. */
const MACHINE = /^[A-Za-z0-9._:@%/[\]][A-Za-z0-9._:@%/[\]-]{0,299}$/;
const CLASS = /^[A-Za-z0-9_.+:@%][A-Za-z0-9_.+:@%-]{0,99}$/;

export function isMachineName(text: string): boolean {
  return MACHINE.test(text);
}

export function isClassName(text: string): boolean {
  return CLASS.test(text);
}

/** `local` or `local/NAME`: this host itself. */
export function isLocalAddress(addr: string): boolean {
  return addr === "local" || addr.startsWith("local/");
}

/** {HOST} and {PORT} of an address `[user@]host[:port]`, `[v6]:port` or `local/NAME`; the port is "" when none is given. */
export function addressParts(addr: string): { readonly host: string; readonly port: string } {
  const bare = addr.slice(addr.lastIndexOf("@") + 1);
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(bare);
  if (bracketed !== null) return { host: bracketed[1] ?? "", port: bracketed[2] ?? "" };
  const plain = /^([^:]*):(\d+)$/.exec(bare);
  if (plain !== null) return { host: plain[1] ?? "", port: plain[2] ?? "" };
  return { host: bare, port: "" };
}
