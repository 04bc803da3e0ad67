/** What `expjobserver check` found, one line each: what is wrong, and what to do. */
import { serveFailureWords } from "./serve-failure.ts";
import { bare, quoted, type Wording, type Words } from "./wording.ts";

interface Finding {
  readonly severity: "damage" | "attention" | "note";
  readonly code: string;
  readonly data: Readonly<Record<string, string>>;
}

export const FINDING_WORDS: Readonly<Record<string, Wording>> = {
  "no-state": (data) => ({
    message: `There is no state directory ${quoted(data, "directory", "")}.`,
    hint: "Name the right one with --state-dir; a server would begin an empty one there.",
  }),
  "wrong-kind": (data) => ({
    message: `${quoted(data, "file", "An entry")} is no ${bare(data, "kind", "file")}.`,
    hint: "Move it away, and restore what belongs there from a backup.",
  }),
  "foreign-owner": (data) => ({
    message: `${quoted(data, "file", "A file")} belongs to user ${bare(data, "uid", "unknown")}.`,
    hint: "Give it back with chown, or run the server as that user.",
  }),
  "open-to-others": (data) => ({
    message: `${quoted(data, "file", "A file")} has mode ${bare(data, "mode", "")}: others can get at it.`,
    hint: `chmod ${bare(data, "right", "600")} ${bare(data, "file", "FILE")}`,
  }),
  unreadable: (data) => ({
    message: `${quoted(data, "file", "A file")} cannot be read (${bare(data, "system", "unknown")}).`,
    hint: "Run `check` as the user of the server.",
  }),
  "left-behind": (data) => ({
    message: `${quoted(data, "file", "A file")} was left by a write that a crash ended.`,
    hint: "Nothing to do: the next write takes it away.",
  }),
  "token-missing": (data) => ({
    message: `There is no token ${quoted(data, "file", "")} yet.`,
    hint: "Nothing to do: the server draws one at its next start.",
  }),
  "token-malformed": (data) => ({
    message: `${quoted(data, "file", "The token file")} holds no token.`,
    hint: "Remove it: the server draws a new one, and copies on other hosts must be renewed.",
  }),
  "log-folder-kind": (data) => ({
    message: `The log folder ${quoted(data, "path", "")} is no folder.`,
    hint: "Name another with --log-dir.",
  }),
  "log-folder-unwritable": (data) => ({
    message: `The log folder ${quoted(data, "path", "")} cannot be written (${bare(data, "system", "unknown")}).`,
    hint: "Make it writable for the server, or name another with --log-dir.",
  }),
  "bad-snapshot": (data) => ({
    message: `The snapshot ${quoted(data, "file", "")} is damaged at byte ${bare(data, "offset", "0")}: ${bare(data, "reason", "unknown")}.`,
    hint: "Copy the whole state directory before anything else; a start uses the other snapshot, if that is good.",
  }),
  damaged: (data) => ({
    message: `${quoted(data, "file", "The state")} is damaged at byte ${bare(data, "offset", "0")}: ${bare(data, "reason", "unknown")}.`,
    hint: "Restore that file from a backup; or start with --allow-snap-fail, which sets the state aside and begins an empty one.",
  }),
  "torn-tail": (data) => ({
    message: `${quoted(data, "file", "The journal")} ends in ${bare(data, "bytes", "some")} bytes that were never acknowledged.`,
    hint: "Nothing to do: the next start saves them aside.",
  }),
  "secret-missing": (data) => ({
    message: `The secret variable ${quoted(data, "name", "")} has no value.`,
    hint: `Set it: j var set ${bare(data, "name", "NAME")} - --secret`,
  }),
  "jobs-missing": (data) => ({
    message: `The state counts ${bare(data, "counted", "some")} jobs as ${bare(data, "status", "ended")}, but ${bare(data, "found", "fewer")} are there.`,
    hint: "Look for blocks that are missing in history/, and restore them from a backup.",
  }),
  contradiction: (data) => ({
    message: `The state contradicts itself: ${bare(data, "sentence", "")}.`,
    hint: "Keep a copy of the state directory, and report it as a bug.",
  }),
  "runs-of-another": (data) => ({
    message: `${quoted(data, "path", "A folder")} holds runs of another server.`,
    hint: "Remove it when you know that none of them goes on.",
  }),
  "run-unknown": (data) => ({ message: `${quoted(data, "path", "An entry")} is no run directory.`, hint: "Remove it if it is not yours." }),
  "run-of-no-job": (data) => ({
    message: `${quoted(data, "path", "A run directory")} is of job ${bare(data, "jid", "")}, which was never queued here.`,
    hint: "The state may be older than it: look for a newer backup, or remove the folder when nothing of it runs.",
  }),
  "run-left": (data) => ({
    message: `${quoted(data, "path", "A run directory")} is left of job ${bare(data, "jid", "")}, which has ended.`,
    hint: "Nothing to do: the next start removes it.",
  }),
  "run-missing": (data) => ({
    message: `Job ${bare(data, "jid", "")} runs on ${quoted(data, "machine", "")}, but its run directory is gone.`,
    hint: "Its end cannot be seen any more: look for its processes, then `j job rm` it.",
  }),
  "known-hosts-unreadable": (data) => ({
    message: `${quoted(data, "path", "known_hosts")} cannot be read (${bare(data, "system", "unknown")}).`,
    hint: "Correct --known-hosts, or make it readable.",
  }),
  "known-hosts-line": (data) => ({
    message: `Line ${bare(data, "line", "")} of ${quoted(data, "path", "known_hosts")} is passed over: ${bare(data, "reason", "it cannot be read")}.`,
    hint: "Correct or remove it; ssh-keyscan prints whole lines.",
  }),
};

export function findingWords({ code, data }: Pick<Finding, "code" | "data">): Words {
  const wording = Object.hasOwn(FINDING_WORDS, code) ? FINDING_WORDS[code] : undefined;
  return wording === undefined ? serveFailureWords({ code, data }) : wording(data);
}

interface Checked {
  readonly stateDir: string;
  readonly serverPid: number | null;
  readonly findings: readonly Finding[];
  readonly checked: Readonly<Record<string, number>>;
}

const LABELS = { damage: "Damaged", attention: "Look at", note: "Note" } as const;
const ORDER: readonly Finding["severity"][] = ["damage", "attention", "note"];

/** The worst first; a line on what was read at the end. */
export function checkLines({ stateDir, serverPid, findings, checked }: Checked, { quiet }: { readonly quiet: boolean }): readonly string[] {
  const sorted = ORDER.flatMap((severity) => findings.filter((finding) => finding.severity === severity));
  const told = sorted.map((finding) => {
    const { message, hint } = findingWords(finding);
    return `${LABELS[finding.severity]}: ${message} ${hint}`;
  });
  if (quiet) return told;
  const read = Object.entries(checked).map(([what, count]) => `${count} ${what}`);
  const needed = findings.filter((finding) => finding.severity !== "note").length;
  const verdict = needed === 0 ? "All is well" : `${needed} finding${needed === 1 ? "" : "s"}`;
  const beside = serverPid === null ? "no server runs on it" : `a server runs on it, process ${serverPid}`;
  const extent = read.length === 0 ? "" : ` Read: ${read.join(", ")}.`;
  return [...told, `${verdict}: ${quoted({ stateDir }, "stateDir", "")}; ${beside}.${extent}`];
}
