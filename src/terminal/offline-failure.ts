/** The words for why an offline command was not done; what the store refuses is worded as for the server. */
import { serveFailureWords } from "./serve-failure.ts";
import { bare, quoted, type Wording, type Words } from "./wording.ts";

const NOTHING = "Nothing was changed.";

export const OFFLINE_FAILURE_WORDS: Readonly<Record<string, Wording>> = {
  locked: (data) => ({
    message: `A server runs on this state${data["pid"] === undefined || data["pid"] === "0" ? "" : ` (process ${bare(data, "pid", "")})`}. ${NOTHING}`,
    hint: "Stop it with `expjobserver stop`, jobs that run go on; then repeat the command.",
  }),
  "file-unreadable": (data) => ({
    message: `${quoted(data, "file", "The file")} cannot be read (${bare(data, "system", "unknown")}). ${NOTHING}`,
    hint: "Name a file that is there and that you may read.",
  }),
  "file-unwritable": (data) => ({
    message: `${quoted(data, "file", "The file")} cannot be written (${bare(data, "system", "unknown")}).`,
    hint: "Name another place, or `-` for stdout.",
  }),
  "not-a-snapshot": (data) => ({
    message: `${quoted(data, "file", "The file")} is no whole snapshot of the old system: ${bare(data, "message", "it cannot be read")}. ${NOTHING}`,
    hint: "Take `server-snapshot` from the old log folder when its server is stopped, or `server-snapshot.backup` beside it.",
  }),
  "imported-before": (data) => ({
    message: `${quoted(data, "file", "This file")} was imported before. ${NOTHING}`,
    hint: "All that it holds is here: see `j job ls -a 0`.",
  }),
  "later-snapshot": (data) => ({
    message: `Jobs of ${quoted(data, "file", "this file")} came in with another snapshot of the same server: job ${bare(data, "jid", "")} is one of them. ${NOTHING}`,
    hint: "Import it into an empty state directory instead (--state-dir).",
  }),
  "too-many-ids": (data) => ({
    message: `The ids in ${quoted(data, "file", "the file")} go up to ${bare(data, "last", "too high a number")}, which is more than there can be. ${NOTHING}`,
    hint: "Import it into an empty state directory (--state-dir).",
  }),
  "no-state": (data) => ({
    message: `There is no state directory ${quoted(data, "directory", "")}.`,
    hint: "Name it with --state-dir.",
  }),
  "not-an-export": (data) => ({
    message: `${quoted(data, "file", "The file")} is no whole export: ${bare(data, "message", "it cannot be read")}. ${NOTHING}`,
    hint: "Export it again with `expjobserver state export`, and copy the file whole.",
  }),
  "snapshot-not-export": (data) => ({
    message: `${quoted(data, "file", "The file")} is a snapshot, which has no history. ${NOTHING}`,
    hint: "Write a whole one with `expjobserver state export FILE --state-dir DIR`.",
  }),
  "state-not-empty": (data) => ({
    message: `The state directory ${quoted(data, "directory", "")} holds a state already. ${NOTHING}`,
    hint: "Name an empty or new one with --state-dir.",
  }),
};

export function offlineFailureWords(failure: { readonly code: string; readonly data: Readonly<Record<string, string>> }): Words {
  const wording = Object.hasOwn(OFFLINE_FAILURE_WORDS, failure.code) ? OFFLINE_FAILURE_WORDS[failure.code] : undefined;
  return wording === undefined ? serveFailureWords(failure) : wording(failure.data);
}
