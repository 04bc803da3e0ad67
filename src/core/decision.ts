/** The outcome of a rule: what happens, or the code of why it does not. */
import type { Event } from "./event.ts";
import type { Answer } from "./state.ts";

export type Decision =
  | { readonly kind: "accepted"; readonly events: readonly Event[]; readonly answer: Answer }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly data: Readonly<Record<string, string | number>> };

export type RefusalCode =
  | "no-such-job"
  | "no-such-machine"
  | "no-such-tag"
  | "no-such-variable"
  | "bad-machine-name"
  | "bad-class-name"
  | "bad-variable-name"
  | "bad-command"
  | "bad-placeholder"
  | "bad-matrix"
  | "limit-exceeded";

export function accepted(events: readonly Event[], answer: Answer = { kind: "done" }): Decision {
  return { kind: "accepted", events, answer };
}

export function refused(code: RefusalCode, data: Readonly<Record<string, string | number>> = {}): Decision {
  return { kind: "refused", code, data };
}
