/** The last line of a job's error log that says something. Reads the end of the file only, whatever its size. */
import type { FileHandle } from "node:fs/promises";
import { openLog } from "../open-log.ts";

const TAIL_BYTES = 4_096;

/**
 * @param guardBytes when a line is longer than what is read, so much of its beginning is dropped: half a secret at the cut
 * could not be recognised
 * @returns null: there is no such line, or no such file
 */
export async function lastLine(path: string, guardBytes: number): Promise<string | null> {
  const tail = await readTail(path, TAIL_BYTES + guardBytes);
  if (tail === null) return null;
  const text = tail.text.trimEnd();
  const start = text.lastIndexOf("\n") + 1;
  const isCut = start === 0 && !tail.isWhole;
  const line = isCut ? text.slice(Math.min(guardBytes, text.length)) : text.slice(start);
  // What a progress bar drew over is not the line that was seen last.
  const shown = line.split("\r").findLast((part) => part.trim() !== "") ?? "";
  return shown.trim() === "" ? null : shown.trim();
}

async function readTail(path: string, bytes: number): Promise<{ readonly text: string; readonly isWhole: boolean } | null> {
  let file: FileHandle;
  try {
    file = await openLog(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // Expired, moved, or never written: the notice goes without it.
    if (code !== undefined) return null;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - bytes);
    const buffer = Buffer.alloc(size - start);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
    return { text: buffer.toString("utf8", 0, bytesRead), isWhole: start === 0 };
  } finally {
    await file.close();
  }
}
