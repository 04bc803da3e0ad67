/** What the server allows its clients, with units. The limits of the wire itself are in protocol/limits.ts. */

export const UNAUTHENTICATED_MAX = 64;
export const CONNECTIONS_MAX = 256;
/** Fewer than all, so that a client beyond them can still be told why. */
export const AUTHENTICATED_MAX = 240;
/** An unauthenticated connection this old gives way to a new one when there are too many. */
export const UNAUTHENTICATED_SAFE_MS = 500;

/** After these a connection is dropped. */
export interface DeadlinesMs {
  /** From its first moment to the end of the handshake. */
  readonly handshake: number;
  /** For one frame, from its first byte to its last. */
  readonly frame: number;
  /** With no request in flight. */
  readonly idle: number;
  /** For replies that the client does not read; streams may wait as long as they like. */
  readonly stalled: number;
  /** For what is still to be answered, and then for what is still to be sent, once a connection closes. */
  readonly closing: number;
}
export const DEADLINES_MS: DeadlinesMs = { handshake: 10_000, frame: 60_000, idle: 600_000, stalled: 60_000, closing: 5_000 };

/** Above this the connection reads no more requests and streams wait. */
export const OUTPUT_BYTES_HIGH = 1024 * 1024;
/** Chunks of one stream that may wait to be sent; a handler awaits each. */
export const EMITS_WAITING_MAX = 16;
