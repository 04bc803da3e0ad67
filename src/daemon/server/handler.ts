/** The table of handlers, inferred from the methods: one that is missing, or too many, does not compile. */
import type { Chunk, MethodName, Params, Result, StreamName } from "../../protocol/methods.ts";

export type Handlers = { readonly [M in MethodName]: Handler<M> };

/**
 * Answers one request, or throws a RequestError to refuse it. Anything else it throws is a fault of the
 * server: it is logged, and the client learns the code "internal" and nothing more.
 */
export type Handler<M extends MethodName> = (params: Params<M>, context: HandlerContext<M>) => Promise<Result<M>>;

export type HandlerContext<M extends MethodName> = M extends StreamName ? StreamContext<Chunk<M>> : RequestContext;

export interface RequestContext {
  /** The same for every try of one mutation; null when the client sent none. */
  readonly requestId: string | null;
  /** Aborted with a RequestGone when the client cancels or goes, or the server stops. */
  readonly signal: AbortSignal;
}

export interface StreamContext<C> extends RequestContext {
  /** Sends a chunk; resolves when the client can take another, rejects with the signal's reason. Await each. */
  emit(chunk: C): Promise<void>;
}

/** Why nobody waits for the answer any more. Handlers may let it pass through. */
export class RequestGone extends Error {
  override readonly name = "RequestGone";
  constructor(readonly why: "canceled" | "disconnected" | "shutting-down") {
    super(why);
  }
}
