/** The words for why a server did not start, or had to end. A test names every code of config/serve-outcome.ts. */
import { problemWords } from "./problem.ts";
import { bare, type Data, detail, quoted, unknownCode, type Wording, type Words } from "./wording.ts";

export const SERVE_FAILURE_WORDS: Readonly<Record<string, Wording>> = {
  locked: (data) => ({
    message: `Another server holds the state directory${place(data)}${holder(data)}.`,
    hint: "Stop it with `expjobserver stop`, or name another folder with --state-dir.",
  }),
  damaged: (data) => ({
    message: `The state is damaged: ${quoted(data, "file", "a file")}${data["offset"] === undefined ? "" : ` at byte ${bare(data, "offset", "")}`}${detail(data)}. Nothing was changed.`,
    hint: "Restore that file from a backup, or start with --allow-snap-fail: it sets the state aside and starts empty.",
  }),
  "newer-format": (data) => ({
    message: `${quoted(data, "file", "The state")} was written by a newer release (format ${bare(data, "format", "unknown")}). Nothing was changed.`,
    hint: "Start that release, or name another folder with --state-dir.",
  }),
  "network-file-system": (data) => ({
    message: `The state directory${place(data)} is on a network file system (${bare(data, "type", "unknown")}), where a lock and a sync cannot be relied on.`,
    hint: "Name a folder on a local disk with --state-dir, or insist with --allow-network-fs.",
  }),
  "not-owned": (data) => ({
    message: `The state directory${place(data)} belongs to another user${data["uid"] === undefined ? "" : ` (${bare(data, "uid", "")})`}.`,
    hint: "Name a folder of your own with --state-dir.",
  }),
  io: (data) => ({
    message: `${quoted(data, "file", quoted(data, "path", "A file of the state"))} cannot be read or written${system(data)}.`,
    hint: "Look after the disk; what was acknowledged is on it, and jobs that run go on.",
  }),
  "no-space": (data) => ({
    message: `The disk is full${data["file"] === undefined ? "" : `: ${quoted(data, "file", "")} could not be written`}${system(data)}.`,
    hint: "Free some space, and start it again.",
  }),
  "token-file": (data) => ({
    message: `The token file ${quoted(data, "path", quoted(data, "file", "of the server"))} cannot be used${detail(data)}.`,
    hint: "Remove it: a new one is drawn at the next start.",
  }),
  "port-taken": (data) => ({
    message: `${bare(data, "address", "The address")} is taken${by(data)}.`,
    hint: "Stop that program, or listen elsewhere with --address.",
  }),
  "cannot-listen": (data) => ({
    message: `The server cannot listen at ${bare(data, "address", "its address")}${detail(data)}${system(data)}.`,
    hint: "Name an address of this host alone with --address: 127.0.0.1:3030 or [::1]:3030.",
  }),
  "log-dir": (data) => ({
    message: `The log folder ${quoted(data, "path", quoted(data, "directory", "named"))} cannot be written${detail(data)}${system(data)}.`,
    hint: "Make it writable, or name another with --log-dir.",
  }),
  "state-dir": (data) => ({
    message: `The state directory${place(data)} cannot be ${data["message"] === "ENOTDIR" ? "one: it, or what is above it, is a file" : `used${detail(data)}`}.`,
    hint: "Name a folder of your own with --state-dir.",
  }),
  "driver-missing": (data) => ({ ...problemWords({ code: "driver-missing", data: asText(data) }), hint: "Correct --runner." }),
  "driver-not-executable": (data) => ({
    ...problemWords({ code: "driver-not-executable", data: asText(data) }),
    hint: "Make it executable (chmod +x), or correct --runner.",
  }),
};

export function serveFailureWords(failure: { readonly code: string; readonly data: Readonly<Record<string, string>> }): Words {
  const wording = Object.hasOwn(SERVE_FAILURE_WORDS, failure.code) ? SERVE_FAILURE_WORDS[failure.code] : undefined;
  return wording === undefined ? unknownCode(failure.code, failure.data) : wording(failure.data);
}

function place(data: Data): string {
  const path = data["directory"] ?? data["path"] ?? data["file"];
  return path === undefined ? "" : ` ${quoted({ path: String(path).replace(/\/lock$/, "") }, "path", "")}`;
}

function holder(data: Data): string {
  const pid = data["pid"];
  return pid === undefined || String(pid) === "0" ? "" : `, process ${bare(data, "pid", "")}`;
}

function by(data: Data): string {
  const command = data["command"] === undefined ? "" : ` (${bare(data, "command", "")})`;
  return data["pid"] === undefined ? " by another program" : ` by process ${bare(data, "pid", "")}${command}`;
}

function system(data: Data): string {
  return data["system"] === undefined || data["system"] === "" ? "" : ` (${bare(data, "system", "")})`;
}

function asText(data: Data): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, String(value)]));
}
