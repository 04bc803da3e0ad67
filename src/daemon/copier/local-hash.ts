/** Owns hashing files that are on this host already, without holding the event loop and without following a link. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";

const PIECE_BYTES = 1024 * 1024;

/** A hasher fed with the first `bytes` of a regular file, or null when it has not so many. @throws system errors */
export async function hashBeginning(path: string, bytes: number): Promise<Bun.CryptoHasher | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) return null;
    const hasher = new Bun.CryptoHasher("sha256");
    const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(bytes, 1)));
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
      if (bytesRead === 0) return null;
      hasher.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hasher;
  } finally {
    await file.close();
  }
}
