/** Why an offline command cannot be done, as a code with data and the exit code of cli.md. */
import type { OfflineFailure } from "../config/offline-task.ts";
import { StoreError, systemCode } from "../store/store-error.ts";

export class OfflineError extends Error {
  override readonly name = "OfflineError";
  constructor(
    readonly code: string,
    readonly data: Readonly<Record<string, string>>,
    readonly exitCode = 1,
  ) {
    super(`${code} ${JSON.stringify(data)}`);
  }
}

/** @throws what is no error of ours: a fault of the program */
export function failureOf(error: unknown): OfflineFailure {
  if (error instanceof OfflineError) return { kind: "failed", code: error.code, data: error.data, exitCode: error.exitCode };
  if (!(error instanceof StoreError)) throw error;
  const data = Object.fromEntries(Object.entries(error.data).map(([key, value]) => [key, String(value)]));
  return { kind: "failed", code: error.code, data, exitCode: exitCodeOf(error) };
}

function exitCodeOf(error: StoreError): number {
  switch (error.code) {
    case "locked":
      return 5;
    case "damaged":
    case "newer-format":
      return 7;
    case "network-file-system":
    case "not-owned":
      return 2;
    case "io":
    case "no-space":
    case "storage-failed":
    case "record-too-large":
    case "closed":
      return 8;
  }
}

/** A file that was named by the user. */
export function unreadable(file: string, error: unknown): OfflineError {
  return new OfflineError("file-unreadable", { file, system: systemCode(error) });
}
