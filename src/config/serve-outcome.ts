/** How the daemon ended, as codes with data: the client's side words it and main.ts exits with the number. */

export type ServeOutcome =
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly code: ServeFailureCode; readonly data: Readonly<Record<string, string>> };

export type ServeFailureCode =
  | "locked"
  | "damaged"
  | "newer-format"
  | "network-file-system"
  | "not-owned"
  | "io"
  | "no-space"
  | "token-file"
  | "port-taken"
  | "cannot-listen"
  | "log-dir"
  | "state-dir"
  | "driver-missing"
  | "driver-not-executable";

/** cli.md: 2 usage or config; 5 state directory held; 6 port taken; 7 state damaged or newer; 8 I/O error. */
export const SERVE_EXIT_CODES: Readonly<Record<ServeFailureCode, number>> = {
  locked: 5,
  "port-taken": 6,
  damaged: 7,
  "newer-format": 7,
  "network-file-system": 2,
  "not-owned": 2,
  "token-file": 2,
  "cannot-listen": 2,
  "log-dir": 2,
  "state-dir": 2,
  "driver-missing": 2,
  "driver-not-executable": 2,
  io: 8,
  "no-space": 8,
};
