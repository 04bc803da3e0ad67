/**
 * The envelope as the client sees it: what it sends, and what came in one frame. Checked by hand, with the light codec: the
 * server's half (message.ts) takes longer to load than a call. Each request asks for answers as JSON text, which a
 * program that has just begun reads many times faster than it could decode so many values itself.
 */
import type { RequestErrorBody } from "./error.ts";
import { frame } from "./frame.ts";
import { FrameError } from "./frame-error.ts";
import { decode, encode } from "./light-codec.ts";
import { MESSAGE_ID_MAX, REPLY_NODES_MAX } from "./limits.ts";
import type { ClientMessage, ServerMessage } from "./message.ts";

/** @throws {FrameError} "too-long". */
export function encodeClientMessage(message: ClientMessage): Uint8Array {
  switch (message.kind) {
    case "request": {
      const { id, method, params, requestId, json } = message;
      return frame(encode({ id, method, params, request_id: requestId ?? undefined, json }));
    }
    case "cancel":
      return frame(encode({ id: message.id, cancel: true }));
    case "ack":
      return frame(encode({ id: message.id, ack: message.bytes }));
  }
}

/** @throws {FrameError} */
export function decodeServerMessage(payload: Uint8Array): ServerMessage {
  const message = decode(payload, REPLY_NODES_MAX);
  if (!isMap(message)) throw new FrameError("bad-envelope");
  const { id } = message;
  if (!isId(id)) throw new FrameError("bad-envelope");
  if ("error" in message) return { kind: "error", id, error: errorOf(message["error"]) };
  if (id === 0) throw new FrameError("bad-envelope");
  if ("chunk" in message) return { kind: "chunk", id, chunk: message["chunk"] };
  if ("result" in message) return { kind: "result", id, result: message["result"] };
  if ("chunk_json" in message) return { kind: "chunk", id, chunk: parsed(message["chunk_json"]) };
  if ("result_json" in message) return { kind: "result", id, result: parsed(message["result_json"]) };
  throw new FrameError("bad-envelope");
}

function errorOf(error: unknown): RequestErrorBody {
  if (!isMap(error) || typeof error["code"] !== "string" || !isMap(error["data"])) throw new FrameError("bad-envelope");
  const data: Record<string, string | number> = {};
  for (const [key, value] of Object.entries(error["data"])) {
    if (typeof value !== "string" && typeof value !== "number") throw new FrameError("bad-envelope");
    data[key] = value;
  }
  return { code: error["code"], data };
}

function parsed(text: unknown): unknown {
  if (typeof text !== "string") throw new FrameError("bad-envelope");
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    // What its SyntaxError says is of no use to anybody: the other side is broken.
    throw new FrameError("bad-envelope");
  }
}

function isId(id: unknown): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= MESSAGE_ID_MAX;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
