/** What the server allows its clients, with units. The limits of the wire itself are in protocol/limits.ts. */

export const HANDSHAKE_MS_MAX = 10_000;
export const UNAUTHENTICATED_MAX = 64;
export const CONNECTIONS_MAX = 256;
/** Fewer than all, so that a client beyond them can still be told why. */
export const AUTHENTICATED_MAX = 240;
/** An unauthenticated connection this old gives way to a new one when there are too many. */
export const UNAUTHENTICATED_SAFE_MS = 500;

/** For one frame, from its first byte to its last. */
export const FRAME_MS_MAX = 60_000;
/** With no request in flight. */
export const IDLE_MS_MAX = 600_000;
/** For replies that the client does not read; streams may wait as long as they like. */
export const STALLED_REPLY_MS_MAX = 60_000;
/** For what is still to be sent once a connection closes. */
export const CLOSING_MS_MAX = 5_000;

/** Above this the connection reads no more requests and streams wait. */
export const OUTPUT_BYTES_HIGH = 1024 * 1024;
/** Chunks of one stream that may wait to be sent; a handler awaits each. */
export const EMITS_WAITING_MAX = 16;
