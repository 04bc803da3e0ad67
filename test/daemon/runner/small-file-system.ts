/** A file system that is full at once: a small tmpfs. Needs root; null without. */
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallFileSystem {
  readonly folder: string;
  close(): void;
}

export function mountSmall(options = "size=64k"): SmallFileSystem | null {
  if (process.getuid?.() !== 0) return null;
  const folder = mkdtempSync(join(tmpdir(), "expjob-small-"));
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]);
  if (mounted.exitCode !== 0) {
    rmdirSync(folder);
    return null;
  }
  return {
    folder,
    close: () => {
      Bun.spawnSync(["umount", "-l", folder]);
      rmdirSync(folder);
    },
  };
}
