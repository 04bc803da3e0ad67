/** How a method is declared: one place for its name, what it takes and what it answers. */
import type * as v from "valibot";

type Schema = v.GenericSchema<unknown, unknown>;

export interface Method<Params extends Schema = Schema, Result extends Schema = Schema> {
  readonly params: Params;
  readonly result: Result;
  /** Set for methods that answer with many chunks before the result. */
  readonly chunk?: Schema;
  /** true: changes state; the client sends a request id with it, and a retry with the same id is harmless. */
  readonly mutates: boolean;
}

export function reads<P extends Schema, R extends Schema>(params: P, result: R) {
  return { params, result, mutates: false } as const;
}

export function mutates<P extends Schema, R extends Schema>(params: P, result: R) {
  return { params, result, mutates: true } as const;
}

/** Sends chunks until it ends or the client cancels; then the result. */
export function streams<P extends Schema, C extends Schema, R extends Schema>(params: P, chunk: C, result: R) {
  return { params, chunk, result, mutates: false } as const;
}
