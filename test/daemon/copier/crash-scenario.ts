/** What is copied over what in crash.test.ts: every way in which a result can meet a name that is taken. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CopyOptions } from "../../../src/daemon/copier/copy-results.ts";

/** The results of job 1, which are in CP_PATH already. */
export const OLD: Readonly<Record<string, string>> = {
  "exp7/changed": "old",
  "exp7/changed-too": "old too",
  "exp7/same": "same",
  "exp7-file": "a file that becomes a folder",
  "exp7-folder/inside": "a folder that becomes a file",
};

/** The results of job 2. */
export const NEW: Readonly<Record<string, string>> = {
  "exp7/changed": "new",
  "exp7/changed-too": "new too",
  "exp7/same": "same",
  "exp7/added": "added",
  "exp7/folder/added": "added",
  "exp7-file/inside": "now a folder",
  "exp7-folder": "now a file",
  "exp7-more/a/b": "all new",
};

/** What is in CP_PATH when job 2 has been copied: nothing lost, one backup each. */
export const AFTER: Readonly<Record<string, string>> = {
  ...NEW,
  "exp7/changed.~1~": "old",
  "exp7/changed-too.~1~": "old too",
  "exp7-file.~1~": "a file that becomes a folder",
  "exp7-folder.~1~/inside": "a folder that becomes a file",
};

export const SET_ASIDE = ["exp7-file", "exp7-folder", "exp7/changed", "exp7/changed-too"].map((from) => ({
  jid: 1,
  from,
  to: `${from}.~1~`,
}));

export function writeAll(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

export function crashOptions(folder: string): Omit<CopyOptions, "shell"> {
  return {
    jid: 2,
    runId: "run2",
    prefixes: ["exp7"],
    startDirectory: join(folder, "machine"),
    target: join(folder, "results"),
    provenance: { command: "measure", variables: {}, machine: "local", facts: null, startedAt: 1, endedAt: 2, exitCode: 0 },
  };
}
