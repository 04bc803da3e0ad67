/**
 * Gzips one log in its place: `<log>` becomes `<log>.gz` with the same time and mode. At every moment, power cuts
 * included, one whole form of it is there: the new one is synced before it gets its name, and has its name before the
 * old one goes. Slow on purpose: it must not be felt.
 */
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, rename, rm, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import { createGzip } from "node:zlib";
import { COMPRESSED_SUFFIX } from "../job-logs.ts";

const CHUNK_BYTES = 262_144;
/** After each chunk: at most some 15 MB a second. */
const PAUSE_MS = 15;

/**
 * changed: somebody wrote to it meanwhile, and nothing was done. taken: another file has the new name.
 */
export type CompressOutcome = { readonly kind: "compressed"; readonly bytes: number } | { readonly kind: "changed" | "taken" };

/**
 * @param path of a regular file; a link is refused
 * @throws the system's error, or the signal's reason; then the log is as it was
 */
export async function compressLog(path: string, signal: AbortSignal): Promise<CompressOutcome> {
  const partial = partialOf(path);
  const source = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const before = await source.stat();
    if (!before.isFile()) return { kind: "changed" };
    const bytes = await compressInto(partial, { source, before, signal });
    if (!(await isAsBefore(path, source, before))) return { kind: "changed" };
    if (!(await giveName(partial, `${path}${COMPRESSED_SUFFIX}`))) return { kind: "taken" };
    await syncFolder(dirname(path));
    await unlink(path);
    return { kind: "compressed", bytes };
  } finally {
    await source.close();
    await rm(partial, { force: true });
  }
}

/** What a crash can leave. In the folder of the log, so that it can be renamed. */
export function partialOf(path: string): string {
  return join(dirname(path), `.${basename(path)}${COMPRESSED_SUFFIX}.partial`);
}

interface Source {
  readonly source: FileHandle;
  readonly before: Stats;
  readonly signal: AbortSignal;
}

/** @returns the size of the new file, synced */
async function compressInto(partial: string, { source, before, signal }: Source): Promise<number> {
  await rm(partial, { force: true });
  const target = await open(partial, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    await pipeline(
      paced(source, signal),
      createGzip(),
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) await target.writeFile(chunk);
      },
      { signal },
    );
    const made = await target.stat();
    if (made.uid !== before.uid || made.gid !== before.gid) await target.chown(before.uid, before.gid);
    await target.chmod(before.mode & 0o7777);
    await target.utimes(before.atime, before.mtime);
    await target.sync();
    return made.size;
  } finally {
    await target.close();
  }
}

async function* paced(source: FileHandle, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (let offset = 0; ; ) {
    const { bytesRead, buffer } = await source.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, offset);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    offset += bytesRead;
    await pause(PAUSE_MS, undefined, { signal });
  }
}

async function isAsBefore(path: string, source: FileHandle, before: Stats): Promise<boolean> {
  const [now, named] = await Promise.all([source.stat(), lstat(path)]);
  return now.size === before.size && now.mtimeMs === before.mtimeMs && named.ino === before.ino && named.dev === before.dev;
}

/** @returns false when another file has that name. One with the same bytes is ours, of a time that ended in between. */
async function giveName(partial: string, target: string): Promise<boolean> {
  const there = await lstat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (there === null) {
    await rename(partial, target);
    return true;
  }
  if (!there.isFile() || there.size !== (await lstat(partial)).size) return false;
  return await sameBytes(partial, target);
}

async function sameBytes(path: string, other: string): Promise<boolean> {
  const [one, two] = await Promise.all([open(path, "r"), open(other, constants.O_RDONLY | constants.O_NOFOLLOW)]);
  try {
    for (let offset = 0; ; ) {
      const [mine, theirs] = await Promise.all([chunkAt(one, offset), chunkAt(two, offset)]);
      if (!mine.equals(theirs)) return false;
      if (mine.length === 0) return true;
      offset += mine.length;
    }
  } finally {
    await Promise.all([one.close(), two.close()]);
  }
}

async function chunkAt(file: FileHandle, offset: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, offset);
  return buffer.subarray(0, bytesRead);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
