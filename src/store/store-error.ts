/**
 * What the store cannot do, and what it has to say, as codes with data; the words are chosen at the edge.
 * A refusal (everything but "no-space" and "record-too-large") leaves every file as it was found.
 */

export type StoreErrorCode =
  /** Another process holds the state directory. data: file, pid (0 when it is not known). */
  | "locked"
  /** Files contradict themselves or each other. data: file, offset (of the first bad byte, where there is one), reason. */
  | "damaged"
  /** Written by a newer release. data: file, format. */
  | "newer-format"
  /** data: file, system (the error code of the system). */
  | "io"
  /** data: directory, type. */
  | "network-file-system"
  /** The directory belongs to someone else. data: directory, uid. */
  | "not-owned"
  /** The disk or the quota is full; nothing was written, and writing may be tried again. data: file, system. */
  | "no-space"
  /** A write or sync failed: nothing more is written by this process. data: file, system. */
  | "storage-failed"
  /** data: bytes, bytesMax. */
  | "record-too-large"
  | "closed";

export type StoreData = Readonly<Record<string, string | number>>;

export class StoreError extends Error {
  override readonly name = "StoreError";

  constructor(
    readonly code: StoreErrorCode,
    readonly data: StoreData = {},
    cause?: unknown,
  ) {
    super(`${code} ${JSON.stringify(data)}`, { cause });
  }
}

/** Something that recovery did and that a person should read in the log. */
export interface StoreNote {
  readonly code: /** Bytes after the last whole record, never acknowledged: saved, then cut. data: file, offset, bytes, saved. */
    | "torn-tail-cut"
    /** The newest snapshot is bad or missing; the one before it and its journal gave the state. data: file, reason. */
    | "older-snapshot-used"
    /** data: file, saved. */
    | "bad-snapshot-saved"
    /** --allow-snap-fail: data: directory, saved, nextId, code, file. */
    | "state-set-aside"
    /** Values of secret variables that no variable names any more, removed. data: count. */
    | "orphan-secrets-removed";
  readonly data: StoreData;
}

export function systemCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "unknown";
}

export function isNoSpace(error: unknown): boolean {
  if (error instanceof StoreError) return error.code === "no-space";
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** A failed system call as a StoreError; a StoreError stays itself. */
export function asStoreError(error: unknown, file: string): StoreError {
  if (error instanceof StoreError) return error;
  return new StoreError(isNoSpace(error) ? "no-space" : "io", { file, system: systemCode(error) }, error);
}
