/**
 * Replacing a file so that after a crash at any moment the old or the new content is there, whole:
 * a temporary file of our own (exclusive, 0600 whatever the umask), sync, rename, sync of the folder.
 * Only the holder of the lock writes here, so a temporary file found in the way is left from a crash.
 */
import { constants, writeSync } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { asStoreError, systemCode } from "./store-error.ts";

const EXCLUSIVE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export function temporaryName(path: string): string {
  return `${path}.new`;
}

/** A file in the making. Either `commit` or `abandon` ends it. */
export class Replacement {
  private closed = false;

  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {}

  static async begin(path: string): Promise<Replacement> {
    try {
      const handle = await openExclusive(temporaryName(path));
      await handle.chmod(0o600);
      return new Replacement(path, handle);
    } catch (error) {
      throw asStoreError(error, path);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.handle.write(bytes, done, bytes.length - done)).bytesWritten;
      }
    } catch (error) {
      throw asStoreError(error, this.path);
    }
  }

  /** @param beforeRename runs when the new content is safe and the old one still has its name */
  async commit(beforeRename: () => Promise<void> = async () => undefined): Promise<void> {
    try {
      await this.handle.sync();
      await this.close();
      await beforeRename();
      await rename(temporaryName(this.path), this.path);
      await syncFolder(dirname(this.path));
    } catch (error) {
      throw asStoreError(error, this.path);
    }
  }

  async abandon(): Promise<void> {
    await this.close();
    await removeIfThere(temporaryName(this.path));
  }

  private async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.handle.close();
  }
}

export async function replaceDurably(path: string, content: string | Uint8Array): Promise<void> {
  const replacement = await Replacement.begin(path);
  try {
    await replacement.write(typeof content === "string" ? Buffer.from(content) : content);
    await replacement.commit();
  } catch (error) {
    await replacement.abandon();
    throw error;
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw asStoreError(error, path);
  }
}

/** Opens a file that does not exist yet; one left from a crash goes first. */
export async function openExclusive(path: string): Promise<FileHandle> {
  try {
    return await open(path, EXCLUSIVE, 0o600);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  await unlink(path);
  return open(path, EXCLUSIVE, 0o600);
}

/** write(2) may take less than it is given. @param position where the first byte goes */
export function writeFully(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
  }
}
