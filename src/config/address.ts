/** HOST:PORT, as it stands in flags, the environment and config.toml. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `1.2.3.4:port` or `[ipv6]:port`. @returns null when it is none of these */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) return null;
  return { host, port };
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
