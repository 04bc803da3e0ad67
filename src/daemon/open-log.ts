/**
 * Opens a job's log for reading. A local job can put anything in its place: what is no file is refused, and opening
 * it must not hold us up, as a FIFO would.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** @throws the system's error; EINVAL for what is no file. */
export async function openLog(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if ((await file.stat()).isFile()) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  throw Object.assign(new Error(`${path} is not a file`), { code: "EINVAL" });
}
