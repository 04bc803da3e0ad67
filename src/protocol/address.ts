/**
 * HOST:PORT as typed. The wire is for this host alone: after the handshake its bytes are neither
 * encrypted nor authenticated, so only loopback addresses are listened on or dialled; ssh -L is for the rest.
 */
export interface Address {
  /** A numeric loopback address, without brackets. */
  readonly host: string;
  readonly port: number;
}

export type AddressFault = "malformed" | "not-loopback" | "port-out-of-range";

/** `localhost` means 127.0.0.1: left to the resolver, another user of the host could wait on ::1. */
export function parseAddress(text: string): Address | AddressFault {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text.trim());
  if (match === null) return "malformed";
  const typed = match[1] ?? match[2] ?? "";
  const port = Number(match[3]);
  if (port > 65_535) return "port-out-of-range";
  const host = typed.toLowerCase() === "localhost" ? "127.0.0.1" : typed;
  return isLoopback(host) ? { host, port } : "not-loopback";
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** 127.0.0.0/8 in full dotted form, or ::1. */
export function isLoopback(host: string): boolean {
  if (host === "::1") return true;
  const parts = host.split(".");
  return parts.length === 4 && parts[0] === "127" && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}
