/** Every limit of the wire, with its unit. Both sides keep to them; docs/PROTOCOL.md lists them. */

/** Payload of one frame, without its four length bytes. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** Maps and arrays inside each other. */
export const FRAME_DEPTH_MAX = 32;
/** Values and keys in one frame, counted before anything is decoded. */
export const REQUEST_NODES_MAX = 1_000_000;
export const REPLY_NODES_MAX = 4_000_000;
/** Entries of one map: more is an array's work, and what the codec can write. */
export const MAP_ENTRIES_MAX = 65_535;

/** All that a client may send before it has proved the token: hello and proof. */
export const HANDSHAKE_BYTES_MAX = 256;
export const NONCE_BYTES = 32;
export const TOKEN_BYTES = 32;
export const PROOF_BYTES = 32;
/** The program's version in a hello, printable ASCII. */
export const VERSION_BYTES_MAX = 63;

export const METHOD_NAME_LENGTH_MAX = 100;
export const REQUEST_ID_LENGTH_MAX = 64;
/** Request ids on the connection are u32 from 1; 0 stands for the connection itself. */
export const MESSAGE_ID_MAX = 2 ** 32 - 1;
/** For errors of the connection as a whole, after which it is closed. */
export const CONNECTION_ID = 0;
export const REQUESTS_IN_FLIGHT_MAX = 64;

/** Bytes of chunk frames that a stream may have on the way without an acknowledgement. */
export const STREAM_WINDOW_BYTES = 1024 * 1024;
