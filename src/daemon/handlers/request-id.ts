/** A request id stands for one change: a client that sends it with another one has a fault of its own, and is told so. */
import type { Answer } from "../../core/state.ts";
import { RequestError } from "../../protocol/error.ts";

/** To be thrown when the answer kept for a request id is of another kind than the request. */
export function requestIdReused(answer: Answer): RequestError {
  return new RequestError("request-id-reused", { answer: answer.kind });
}
