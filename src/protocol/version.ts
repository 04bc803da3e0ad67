/**
 * The version rule: the same major works together, whatever the minor. A new method, a new optional field
 * or a new code raises the minor; only a change that an old peer would misread raises the major.
 */
export interface ProtocolVersion {
  readonly major: number;
  readonly minor: number;
}

export const PROTOCOL_VERSION: ProtocolVersion = { major: 1, minor: 1 };

export function worksWith(ours: ProtocolVersion, theirs: ProtocolVersion): boolean {
  return ours.major === theirs.major;
}
