/**
 * A core dump of the server would have the token and the secrets in it: none is made. Only the soft limit is lowered, so
 * jobs can be given back what the server's caller had.
 */
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

/** The number of RLIMIT_CORE on every Linux. */
const RLIMIT_CORE = 4;
const UNLIMITED = 0xffff_ffff_ffff_ffffn;
/** What `ulimit -c` counts in. */
const BLOCK_BYTES = 512n;

export interface CoreDumps {
  /** The soft limit as it was, as `ulimit -Sc` takes it; null: it was 0, or it is not known. */
  readonly softBefore: string | null;
  /** Why they could not be turned off. */
  readonly fault: string | null;
}

/** For this process and, unless they raise it again, for those that it starts. */
export function turnOffCoreDumps(): CoreDumps {
  try {
    const limits = parseCoreLimits(readFileSync("/proc/self/limits", "latin1"));
    if (limits === null) return { softBefore: null, fault: "/proc/self/limits has no line about them" };
    if (limits.soft === 0n) return { softBefore: null, fault: null };
    const wanted = new BigUint64Array([0n, limits.hard]);
    if (systemLibrary().symbols.setrlimit(RLIMIT_CORE, ptr(wanted)) !== 0) return { softBefore: null, fault: "setrlimit was refused" };
    return { softBefore: limits.soft === UNLIMITED ? "unlimited" : String(limits.soft / BLOCK_BYTES), fault: null };
  } catch (error) {
    return { softBefore: null, fault: error instanceof Error ? error.message : String(error) };
  }
}

/** Bytes. */
export function parseCoreLimits(limits: string): { readonly soft: bigint; readonly hard: bigint } | null {
  const match = /^Max core file size\s+(\d+|unlimited)\s+(\d+|unlimited)\s/m.exec(limits);
  const bytes = (text: string | undefined): bigint => (text === undefined || text === "unlimited" ? UNLIMITED : BigInt(text));
  return match === null ? null : { soft: bytes(match[1]), hard: bytes(match[2]) };
}

function systemLibrary() {
  const names = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      return dlopen(name, { setrlimit: { args: ["i32", "ptr"], returns: "i32" } });
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, "setrlimit is not available");
}
