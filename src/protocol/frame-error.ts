/** What was wrong with bytes from the other side. The connection they came on is not used again. */
export type FrameFault =
  | "empty"
  | "too-long"
  | "truncated"
  | "trailing-bytes"
  | "too-deep"
  | "too-many-nodes"
  | "implausible-length"
  | "map-too-large"
  | "key-not-text"
  | "extension-type"
  | "reserved-type"
  | "text-not-utf8"
  | "undecodable"
  | "bad-envelope";

export class FrameError extends Error {
  override readonly name = "FrameError";
  constructor(readonly fault: FrameFault) {
    super(fault);
  }
}
