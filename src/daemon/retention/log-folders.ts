/**
 * Which files may be compressed or deleted as the logs of a job. A file must be all of this: named in the job's record,
 * named as the server names logs of that job, regular, and in a folder that a server of this user has logged to. What
 * a person has moved elsewhere, to results for instance, is the person's.
 */
import type { Stats } from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { COMPRESSED_SUFFIX } from "../job-logs.ts";
import { LOG_FILE } from "../logging/log-file.ts";

export interface FoundLog {
  readonly path: string;
  readonly isCompressed: boolean;
  readonly bytes: number;
  /** The last time that somebody wrote to it, milliseconds since the epoch. */
  readonly writtenAt: number;
}

/** Answers are kept: one for each look at all jobs. */
export class LogFolders {
  private readonly ours = new Map<string, boolean>();

  /** @param logDir where logs are written now */
  constructor(private readonly logDir: string) {}

  /** The files that a log is in: none when it is gone or not ours to touch, two when compressing it was cut short. */
  async find(jid: number, path: string): Promise<readonly FoundLog[]> {
    const folder = dirname(path);
    if (!basename(path).startsWith(`${jid}-`) || !(await this.isOurs(folder))) return [];
    const found: FoundLog[] = [];
    for (const isCompressed of [false, true]) {
      const name = isCompressed ? `${path}${COMPRESSED_SUFFIX}` : path;
      const stats = await lookAt(name);
      if (stats === null || !stats.isFile() || (folder !== this.logDir && !isOwn(stats))) continue;
      found.push({ path: name, isCompressed, bytes: stats.size, writtenAt: stats.mtimeMs });
    }
    return found;
  }

  private async isOurs(folder: string): Promise<boolean> {
    if (folder === this.logDir) return true;
    const known = this.ours.get(folder);
    if (known !== undefined) return known;
    const isOurs = await wasLogDir(folder);
    this.ours.set(folder, isOurs);
    return isOurs;
  }
}

/** A server's own log is beside the logs of its jobs. A folder behind a link is not looked into. */
async function wasLogDir(folder: string): Promise<boolean> {
  const ownLog = await lookAt(join(folder, LOG_FILE));
  if (ownLog === null || !ownLog.isFile() || !isOwn(ownLog)) return false;
  return (await realpath(folder).catch(() => null)) === folder;
}

/** null: it is not there, or cannot be looked at, which comes to the same here: it is left alone. */
async function lookAt(path: string): Promise<Stats | null> {
  return await lstat(path).catch(() => null);
}

function isOwn(stats: Stats): boolean {
  return stats.uid === process.getuid?.();
}
