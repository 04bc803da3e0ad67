/** The words for warnings of a request, conditions of the server, and the reasons of `job why`. */
import { problemWords } from "./problem.ts";
import { bare, type Data, quoted, type Wording, type Words } from "./wording.ts";

export interface Notice {
  readonly code: string;
  readonly data: Readonly<Record<string, string>>;
}

const NOTICE_WORDS: Readonly<Record<string, Wording>> = {
  // warnings
  "class-empty": (data) => ({
    message: `There is no machine in class ${quoted(data, "class", "given")}.`,
    hint: `It waits until one is added: \`j machine add ADDR ${bare(data, "class", "CLASS")}\`.`,
  }),
  "placeholder-undefined": (data) => ({
    message: `Nothing defines {${bare(data, "name", "NAME")}}: it is left as typed.`,
    hint: `Set it with \`j var set ${bare(data, "name", "NAME")} VALUE\` and queue again, if it was meant as a variable.`,
  }),
  // why it is not running
  held: () => ({ message: "It is held.", hint: "Let it go with `j job unhold JID`." }),
  "back-off": (data) => ({ message: `It waits until ${bare(data, "until", "later")}, after a failure.`, hint: "" }),
  "retry-back-off": (data) => ({ message: `It waits until ${bare(data, "until", "later")}, after a failure.`, hint: "" }),
  "jobs-ahead": (data) => ({
    message: `${count(data, "job")} of class ${quoted(data, "class", "its own")} ${data["count"] === "1" ? "is" : "are"} ahead of it.`,
    hint: "",
  }),
  "machine-busy": (data) => ({
    message: `Machine ${quoted(data, "machine", "of its class")} is busy${data["jid"] === undefined ? "" : ` with job ${bare(data, "jid", "")}`}.`,
    hint: "",
  }),
  "machines-busy": (data) => ({
    message: `${count(data, "machine")} of class ${quoted(data, "class", "its own")} ${data["count"] === "1" ? "is" : "are"} busy.`,
    hint: "",
  }),
  "machine-free": (data) => ({ message: `Machine ${quoted(data, "machine", "of its class")} is free: it starts in a moment.`, hint: "" }),
  "machine-quarantined": (data) => ({
    message: `Machine ${quoted(data, "machine", "of its class")} is quarantined.`,
    hint: `See \`j machine ls\`; put it back with \`j machine restore ${bare(data, "machine", "ADDR")}\`.`,
  }),
  "machine-unreachable": (data) => ({
    message: `Machine ${quoted(data, "machine", "of its class")} cannot be reached.`,
    hint: `Try \`j machine check ${bare(data, "machine", "ADDR")}\`.`,
  }),
  "not-waiting": (data) => ({ message: `It is not waiting: it is ${bare(data, "status", "past that")}.`, hint: "" }),
  "starts-paused": () => ({ message: "The server starts nothing at the moment.", hint: "`j status` says why." }),
};

export function noticeWords(notice: Notice): Words {
  const wording = Object.hasOwn(NOTICE_WORDS, notice.code) ? NOTICE_WORDS[notice.code] : undefined;
  return wording === undefined ? problemWords(notice) : wording(notice.data);
}

function count(data: Data, noun: string): string {
  const number = bare(data, "count", "some");
  return number === "1" ? `1 ${noun}` : `${number} ${noun}s`;
}
