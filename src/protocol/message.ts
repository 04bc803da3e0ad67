/**
 * The envelope: what one frame says, once it is decoded. Kinds are told apart by the key that only they
 * have; unknown keys are dropped. Parameters, results and chunks are left to the schema of their method.
 */
import * as v from "valibot";
import { decode, encode } from "./codec.ts";
import { type RequestErrorBody, requestErrorSchema } from "./error.ts";
import { frame } from "./frame.ts";
import { FrameError } from "./frame-error.ts";
import { MESSAGE_ID_MAX, METHOD_NAME_LENGTH_MAX, REPLY_NODES_MAX, REQUEST_ID_LENGTH_MAX, REQUEST_NODES_MAX } from "./limits.ts";

/** For errors of the connection as a whole, after which it is closed. */
export const CONNECTION_ID = 0;

export type ClientMessage =
  | { readonly kind: "request"; readonly id: number; readonly method: string; readonly params: unknown; readonly requestId: string | null }
  /** The answer is no longer wanted; the server still ends the request with a result or an error. */
  | { readonly kind: "cancel"; readonly id: number }
  /** Payload bytes of chunk frames of this request that were used up since the last acknowledgement. */
  | { readonly kind: "ack"; readonly id: number; readonly bytes: number };

export type ServerMessage =
  | { readonly kind: "result"; readonly id: number; readonly result: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: RequestErrorBody }
  | { readonly kind: "chunk"; readonly id: number; readonly chunk: unknown };

const messageId = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MESSAGE_ID_MAX));
const requestMessageId = v.pipe(messageId, v.minValue(1));
const byteCount = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(Number.MAX_SAFE_INTEGER));
const requestId = v.pipe(v.string(), v.maxLength(REQUEST_ID_LENGTH_MAX), v.regex(/^[0-9A-Za-z_-]+$/));

const requestSchema = v.object({
  id: requestMessageId,
  method: v.pipe(v.string(), v.minLength(1), v.maxLength(METHOD_NAME_LENGTH_MAX)),
  params: v.unknown(),
  request_id: v.optional(requestId),
});
const cancelSchema = v.object({ id: requestMessageId, cancel: v.literal(true) });
const ackSchema = v.object({ id: requestMessageId, ack: byteCount });
const errorSchema = v.object({ id: messageId, error: requestErrorSchema });
const identifiedSchema = v.object({ id: requestMessageId });

/** @throws {FrameError} "too-long". */
export function encodeClientMessage(message: ClientMessage): Uint8Array {
  switch (message.kind) {
    case "request": {
      const { id, method, params } = message;
      return frame(encode(message.requestId === null ? { id, method, params } : { id, method, params, request_id: message.requestId }));
    }
    case "cancel":
      return frame(encode({ id: message.id, cancel: true }));
    case "ack":
      return frame(encode({ id: message.id, ack: message.bytes }));
  }
}

/** @throws {FrameError} "too-long". */
export function encodeServerMessage(message: ServerMessage): Uint8Array {
  switch (message.kind) {
    case "result":
      return frame(encode({ id: message.id, result: message.result }));
    case "error":
      return frame(encode({ id: message.id, error: message.error }));
    case "chunk":
      return frame(encode({ id: message.id, chunk: message.chunk }));
  }
}

/** @throws {FrameError} */
export function decodeClientMessage(payload: Uint8Array): ClientMessage {
  const message = decode(payload, REQUEST_NODES_MAX);
  if (has(message, "method")) {
    const { id, method, params, request_id } = accept(requestSchema, message);
    return { kind: "request", id, method, params, requestId: request_id ?? null };
  }
  if (has(message, "cancel")) return { kind: "cancel", id: accept(cancelSchema, message).id };
  const { id, ack } = accept(ackSchema, message);
  return { kind: "ack", id, bytes: ack };
}

/** @throws {FrameError} */
export function decodeServerMessage(payload: Uint8Array): ServerMessage {
  const message = decode(payload, REPLY_NODES_MAX);
  if (has(message, "error")) return { kind: "error", ...accept(errorSchema, message) };
  const { id } = accept(identifiedSchema, message);
  if (has(message, "chunk")) return { kind: "chunk", id, chunk: message.chunk };
  if (has(message, "result")) return { kind: "result", id, result: message.result };
  throw new FrameError("bad-envelope");
}

function has<K extends string>(message: unknown, key: K): message is Record<K, unknown> {
  return typeof message === "object" && message !== null && Object.hasOwn(message, key);
}

function accept<S extends v.GenericSchema>(schema: S, message: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, message);
  if (!parsed.success) throw new FrameError("bad-envelope");
  return parsed.output;
}
