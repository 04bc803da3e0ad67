/**
 * Owns taking one file of this host into the temporary folder of a copy: read once, hashed on the way, and proved
 * against the sha256 that is recorded of it. No link is followed, neither the file itself nor a folder below the
 * one that is recorded. What a user has changed or removed since is an answer, not an error.
 */
import { constants } from "node:fs";
import { type FileHandle, link, lstat, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { canceled, systemErrorCode, targetUnwritable } from "./copy-problem.ts";
import { look } from "./incoming.ts";
import type { FetchedFile } from "./transfer.ts";

/** A file by what it is, whatever it is called. */
export interface Seen {
  readonly device: bigint;
  readonly inode: bigint;
  readonly bytes: bigint;
  readonly modifiedNs: bigint;
}

export interface GatherRequest {
  /** Absolute: the folder that is recorded. */
  readonly folder: string;
  /** Relative to it. */
  readonly path: string;
  /** null: a log, of which none is recorded. */
  readonly expected: Pick<FetchedFile, "bytes" | "sha256"> | null;
  /** Where it goes in the temporary folder; null: it is only looked at. */
  readonly to: string | null;
  /** The source is to vanish afterwards: one file system needs no second copy of the bytes. */
  readonly mayLink: boolean;
  readonly signal: AbortSignal;
}

export type Gathered =
  | { readonly kind: "taken"; readonly bytes: number; readonly sha256: string; readonly seen: Seen }
  | { readonly kind: "gone" }
  | { readonly kind: "altered" }
  | { readonly kind: "unreadable"; readonly message: string };

const PIECE_BYTES = 1024 * 1024;
const NO_LINKS = ["EXDEV", "EPERM", "EACCES", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EEXIST"];

/** @throws {CopyProblem} when our side cannot take it, or the copy is canceled */
export async function gatherFile(request: GatherRequest): Promise<Gathered> {
  if (!isInside(request.folder, request.path)) return { kind: "altered" };
  let source: FileHandle;
  try {
    source = await open(join(request.folder, request.path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    return unopened(error);
  }
  try {
    return await gatherOpen(source, request);
  } finally {
    await source.close();
  }
}

/** What the name stands for now; null when it is no regular file or not there. */
export async function seenAt(path: string): Promise<Seen | null> {
  try {
    const found = await lstat(path, { bigint: true });
    return found.isFile() ? { device: found.dev, inode: found.ino, bytes: found.size, modifiedNs: found.mtimeNs } : null;
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemErrorCode(error) ?? "")) return null;
    throw error;
  }
}

export function isSameFile(one: Seen, other: Seen): boolean {
  return one.device === other.device && one.inode === other.inode && one.bytes === other.bytes && one.modifiedNs === other.modifiedNs;
}

/** Is it a plain name below the folder, with no link on the way to it? Records lie where users can write. */
export function isInside(folder: string, path: string): boolean {
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0"))) return false;
  for (let count = 1; count < parts.length; count += 1) {
    const found = look(join(folder, ...parts.slice(0, count)));
    if (found !== null && !found.isDirectory()) return false;
  }
  return true;
}

async function gatherOpen(source: FileHandle, request: GatherRequest): Promise<Gathered> {
  const { expected, to, mayLink } = request;
  const stats = await source.stat({ bigint: true });
  if (!stats.isFile() || (expected !== null && Number(stats.size) !== expected.bytes)) return { kind: "altered" };
  const seen = { device: stats.dev, inode: stats.ino, bytes: stats.size, modifiedNs: stats.mtimeNs };
  const isLinked = to !== null && mayLink && (await linked(request, to, seen));
  const target = to === null || isLinked ? null : await create(to);
  let isProved = false;
  try {
    const { bytes, sha256 } = await hashed(source, target, request);
    isProved = expected === null || (bytes === expected.bytes && sha256 === expected.sha256);
    if (!isProved) return { kind: "altered" };
    if (target !== null) await like(target, stats, to ?? "");
    return { kind: "taken", bytes, sha256, seen };
  } finally {
    await target?.close();
    if (to !== null && !isProved) await rm(to, { force: true });
  }
}

async function hashed(source: FileHandle, target: FileHandle | null, { to, signal }: GatherRequest) {
  const hasher = new Bun.CryptoHasher("sha256");
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let bytes = 0;
  for (;;) {
    if (signal.aborted) throw canceled();
    const { bytesRead } = await source.read(buffer, 0, buffer.length, bytes);
    if (bytesRead === 0) return { bytes, sha256: hasher.digest("hex") };
    const piece = buffer.subarray(0, bytesRead);
    hasher.update(piece);
    if (target !== null) await write(target, piece, to ?? "");
    bytes += bytesRead;
  }
}

async function write(target: FileHandle, piece: Uint8Array, path: string): Promise<void> {
  try {
    for (let at = 0; at < piece.length; ) at += (await target.write(piece, at)).bytesWritten;
  } catch (error) {
    throw targetUnwritable(path, error);
  }
}

async function create(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw targetUnwritable(path, error);
  }
}

/** The mode and the time of the source: a copy is the same result. */
async function like(target: FileHandle, stats: { mode: bigint; mtimeMs: bigint }, path: string): Promise<void> {
  try {
    await target.chmod(Number(stats.mode & 0o777n));
    const modified = Number(stats.mtimeMs) / 1000;
    await target.utimes(modified, modified);
  } catch (error) {
    throw targetUnwritable(path, error);
  }
}

/** A second name for the very file that is open; false when there can be none. */
async function linked({ folder, path }: GatherRequest, to: string, seen: Seen): Promise<boolean> {
  try {
    await link(join(folder, path), to);
  } catch (error) {
    if (NO_LINKS.includes(systemErrorCode(error) ?? "") || systemErrorCode(error) === "ENOENT") return false;
    throw targetUnwritable(to, error);
  }
  const there = await seenAt(to);
  if (there !== null && isSameFile(there, seen)) return true;
  await rm(to, { force: true });
  return false;
}

function unopened(error: unknown): Gathered {
  const code = systemErrorCode(error) ?? "";
  if (code === "ENOENT" || code === "ENOTDIR") return { kind: "gone" };
  if (code === "ELOOP" || code === "ENXIO") return { kind: "altered" };
  return { kind: "unreadable", message: code === "" ? String(error) : code };
}

/** The folder of a path, and its name there. */
export function splitPath(path: string): { readonly folder: string; readonly name: string } {
  const folder = dirname(path);
  return { folder, name: path.slice(folder === "/" ? 1 : folder.length + 1) };
}
