/**
 * The envelope: what one frame says, once it is decoded, and the server's half of reading and writing it. Kinds are told
 * apart by the key that only they have; unknown keys are dropped. Parameters, results and chunks are left to the schema
 * of their method. The client's half is client-message.ts.
 */
import * as v from "valibot";
import { decode, encode } from "./codec.ts";
import type { RequestErrorBody } from "./error.ts";
import { frame } from "./frame.ts";
import { FrameError } from "./frame-error.ts";
import { MESSAGE_ID_MAX, METHOD_NAME_LENGTH_MAX, REQUEST_ID_LENGTH_MAX, REQUEST_NODES_MAX } from "./limits.ts";

export type ClientMessage =
  | {
      readonly kind: "request";
      readonly id: number;
      readonly method: string;
      readonly params: unknown;
      readonly requestId: string | null;
      /** Result and chunks are wanted as JSON text, unless they are bytes. */
      readonly json?: boolean | undefined;
    }
  /** The answer is no longer wanted; the server still ends the request with a result or an error. */
  | { readonly kind: "cancel"; readonly id: number }
  /** Payload bytes of chunk frames of this request that were used up since the last acknowledgement. */
  | { readonly kind: "ack"; readonly id: number; readonly bytes: number };

export type ServerMessage =
  | { readonly kind: "result"; readonly id: number; readonly result: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: RequestErrorBody }
  | { readonly kind: "chunk"; readonly id: number; readonly chunk: unknown };

const requestMessageId = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MESSAGE_ID_MAX));
const byteCount = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(Number.MAX_SAFE_INTEGER));
const requestId = v.pipe(v.string(), v.maxLength(REQUEST_ID_LENGTH_MAX), v.regex(/^[0-9A-Za-z_-]+$/));

const requestSchema = v.object({
  id: requestMessageId,
  method: v.pipe(v.string(), v.minLength(1), v.maxLength(METHOD_NAME_LENGTH_MAX)),
  params: v.unknown(),
  request_id: v.optional(requestId),
  json: v.optional(v.boolean()),
});
const cancelSchema = v.object({ id: requestMessageId, cancel: v.literal(true) });
const ackSchema = v.object({ id: requestMessageId, ack: byteCount });

/** @param json the client asked for JSON text: bytes are sent as they are all the same. @throws {FrameError} "too-long". */
export function encodeServerMessage(message: ServerMessage, json = false): Uint8Array {
  const { id } = message;
  switch (message.kind) {
    case "result":
      return frame(
        encode(json && isTextual(message.result) ? { id, result_json: JSON.stringify(message.result) } : { id, result: message.result }),
      );
    case "error":
      return frame(encode({ id, error: message.error }));
    case "chunk":
      return frame(
        encode(json && isTextual(message.chunk) ? { id, chunk_json: JSON.stringify(message.chunk) } : { id, chunk: message.chunk }),
      );
  }
}

/** Bytes are a whole chunk of a stream, never a part of one. */
function isTextual(value: unknown): boolean {
  return value !== undefined && !(value instanceof Uint8Array);
}

/** @throws {FrameError} */
export function decodeClientMessage(payload: Uint8Array): ClientMessage {
  const message = decode(payload, REQUEST_NODES_MAX);
  if (has(message, "method")) {
    const { id, method, params, request_id, json } = accept(requestSchema, message);
    return { kind: "request", id, method, params, requestId: request_id ?? null, ...(json === undefined ? {} : { json }) };
  }
  if (has(message, "cancel")) return { kind: "cancel", id: accept(cancelSchema, message).id };
  const { id, ack } = accept(ackSchema, message);
  return { kind: "ack", id, bytes: ack };
}

function has<K extends string>(message: unknown, key: K): message is Record<K, unknown> {
  return typeof message === "object" && message !== null && Object.hasOwn(message, key);
}

function accept<S extends v.GenericSchema>(schema: S, message: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, message);
  if (!parsed.success) throw new FrameError("bad-envelope");
  return parsed.output;
}
