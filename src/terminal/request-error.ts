/** The words for every code with which the server refuses a request: what is wrong, and what to do. */
import type { ErrorCode, RequestErrorBody } from "../protocol/error.ts";
import { bare, type Data, detail, quoted, unknownCode, type Wording, type Words } from "./wording.ts";

export const REQUEST_ERROR_WORDS: Readonly<Record<ErrorCode, Wording>> = {
  "bad-frame": () => ({
    message: "The server could not read what was sent.",
    hint: "Use the client that came with the server: `j ping` shows both versions.",
  }),
  "bad-request": (data) => ({
    message: `The server refused the request as malformed${detail(data)}${data["field"] === undefined ? "" : ` (${bare(data, "field", "")} should be ${bare(data, "expected", "something else")})`}.`,
    hint: "Use the client that came with the server: `j ping` shows both versions.",
  }),
  "unknown-method": (data) => ({
    message: `The server, version ${bare(data, "version", "unknown")}, does not know ${quoted(data, "method", "this request")}.`,
    hint: "Restart the server with this version: running jobs go on.",
  }),
  "too-many-connections": (data) => ({
    message: `The server has as many connections as it takes${data["max"] === undefined ? "" : ` (${bare(data, "max", "")})`}.`,
    hint: "Close some clients, or try again in a moment.",
  }),
  "shutting-down": () => ({
    message: "The server is stopping; jobs that run go on.",
    hint: "Start it again with `expjobserver serve --detach`, and repeat the command.",
  }),
  "request-id-reused": () => ({
    message: "The server was sent this request id before, with another change: nothing was changed.",
    hint: "A client draws a new id for each change, and repeats it only with the same one.",
  }),
  canceled: () => ({ message: "The request was canceled.", hint: "" }),
  internal: (data) => ({ message: `The server failed inside${detail(data)}.`, hint: "See the server's log; `j status` says where it is." }),
  "no-space": (data) => ({
    message: `The disk of the server is full${data["path"] === undefined ? "" : ` at ${quoted(data, "path", "")}`}: nothing was changed.`,
    hint: "Free some space and repeat the command; running jobs go on.",
  }),
  "storage-failed": (data) => ({
    message: `The server could not write its state${detail(data)}: nothing was changed.`,
    hint: "See the server's log; `j status` says where it is.",
  }),
  "no-such-job": (data) => ({ message: `There is no job ${id(data, "jid")}.`, hint: "`j job ls -n 100` lists the latest." }),
  "no-such-matrix": (data) => ({ message: `There is no matrix ${id(data, "id")}.`, hint: "`j job ls` shows matrices with their ids." }),
  "no-such-tag": (data) => ({ message: `There is no tag ${id(data, "id")}.`, hint: "`j job tag new` makes one." }),
  "no-such-id": (data) => ({ message: `There is no job, matrix or tag ${id(data, "id")}.`, hint: "`j job ls -n 100` lists the latest." }),
  "no-such-machine": (data) => ({
    message: `There is no machine ${quoted(data, "addr", "of that name")}.`,
    hint: "`j machine ls` lists them; ports belong to the name.",
  }),
  "no-such-class": (data) => ({
    message: `There is no machine in class ${quoted(data, "class", "given")}.`,
    hint: "`j machine ls` lists machines with their classes.",
  }),
  "no-such-variable": (data) => ({
    message: `There is no variable ${quoted(data, "name", "of that name")}.`,
    hint: "`j var ls` lists them.",
  }),
  "no-jobs": () => ({ message: "That names no job.", hint: "`j job ls` lists jobs with their ids." }),
  "job-ended": (data) => ({
    message: `Job ${id(data, "jid")} has ended already.`,
    hint: "With -f it is removed from the records; its logs and results stay.",
  }),
  "job-over": (data) => ({
    message: `Job ${id(data, "jid")} has ended: no timeout can stop it any more.`,
    hint: `\`j job show ${id(data, "jid")}\` tells how it ended.`,
  }),
  "job-not-ended": (data) => ({
    message: `Job ${id(data, "jid")} has not ended.`,
    hint: "Wait for it (`j job wait`), or cancel it first (`j job rm`).",
  }),
  "job-not-waiting": (data) => ({
    message: `Job ${id(data, "jid")} is not waiting.`,
    hint: "Only a waiting job can be held; `j job show` says what it does.",
  }),
  "job-not-held": (data) => ({ message: `Job ${id(data, "jid")} is not held.`, hint: "`j job show` says what it does." }),
  "nothing-to-copy": (data) => ({
    message: `Job ${id(data, "jid")} never started: it has neither results nor logs.`,
    hint: "`j job show` says how it ended.",
  }),
  "machine-busy": (data) => ({
    message: `Machine ${quoted(data, "addr", "named")} is busy${data["jid"] === undefined ? "" : ` with job ${bare(data, "jid", "")}`}.`,
    hint: "Wait for the job, or cancel it first.",
  }),
  "bad-machine-name": (data) => ({
    message: `${quoted(data, "addr", "That")} cannot be the name of a machine.`,
    hint: "Use HOST, HOST:PORT, user@HOST:PORT, local or local/NAME: letters, digits and . _ : @ % / [ ] -",
  }),
  "bad-class-name": (data) => ({
    message: `${quoted(data, "class", "That")} cannot be the name of a class.`,
    hint: "Use letters, digits and . _ -",
  }),
  "bad-variable-name": (data) => ({
    message: `${quoted(data, "name", "That")} cannot be the name of a variable.`,
    hint:
      data["reason"] === "built-in"
        ? `Take another name: {${bare(data, "name", "NAME")}} is there without being set.`
        : "Use letters, digits and _, not beginning with a digit.",
  }),
  "bad-command": (data) => ({ message: `The command cannot be used${detail(data)}.`, hint: "Check its quotes: each must be closed." }),
  "bad-placeholder": (data) => ({
    message: `The placeholder ${quoted(data, "name", "in the command")} cannot be used${detail(data)}.`,
    hint: "Placeholders are {NAME}: letters, digits and _.",
  }),
  "bad-matrix": (data) => ({
    message: `The matrix cannot be queued${data["name"] === undefined ? "" : ` because of ${quoted(data, "name", "")}`}${detail(data)}.`,
    hint: "Each KEY=V1,V2 needs a name of its own and at least one value.",
  }),
  "limit-exceeded": (data) => ({
    message: `That is more than the limit: at most ${bare(data, "max", "a certain number of")} ${LIMITED[String(data["what"])] ?? bare(data, "what", "")}.`,
    hint: LIMIT_HINTS[String(data["what"])] ?? "Ask for less at once.",
  }),
  "log-expired": (data) => ({
    message: `The log of job ${id(data, "jid")} was deleted: [retention] of the server's config.toml keeps none so old, or not so many.`,
    hint: "What is known of the job is still there: j job show JID.",
  }),
  "log-missing": (data) =>
    data["path"] === undefined
      ? {
          message: `Job ${id(data, "jid")} has no log.`,
          hint: "A log begins when the job starts; `j job why` says what it waits for.",
        }
      : {
          message: `The log of job ${id(data, "jid")} cannot be read at ${quoted(data, "path", "its place")}${detail(data)}.`,
          hint: "It may have been moved, or removed by hand or by [retention] of config.toml.",
        },
};

const LIMITED: Readonly<Record<string, string>> = {
  reply: "bytes in one answer",
  "requests-in-flight": "requests at once",
  ids: "jobs at once",
  count: "jobs in one request",
  timeout: "seconds of timeout",
  "command-line": "bytes in a command line",
  reasons: "reasons at once",
  "queued-jobs": "queued jobs",
  variable: "bytes in a variable",
  variables: "variables",
};

const LIMIT_HINTS: Readonly<Record<string, string>> = {
  "queued-jobs": "Queue the rest later, or raise queued_jobs in [limits] of config.toml.",
  timeout: "Give it less, or leave --timeout out: then it may run for ever.",
  "command-line": "Put long values in a file, and pass its path.",
  variable: "Put it in a file, and set its path.",
  variables: "Remove some with `j var rm NAME`.",
};

export function requestErrorWords(error: Pick<RequestErrorBody, "code" | "data">): Words {
  const table: Readonly<Record<string, Wording>> = REQUEST_ERROR_WORDS;
  const wording = Object.hasOwn(table, error.code) ? table[error.code] : undefined;
  return wording === undefined ? unknownCode(error.code, error.data) : wording(error.data);
}

function id(data: Data, key: string): string {
  return bare(data, key, bare(data, "id", "of that number"));
}
