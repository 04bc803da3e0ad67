/** The words for warnings of a request, conditions of the server, and the reasons of `job why`. */
import { formatInstant } from "./duration.ts";
import { printable } from "./printable.ts";
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
  "variable-unused": (data) => ({
    message: `The command does not use {${bare(data, "name", "NAME")}}: its values change nothing but EXPJOB_VAR_${bare(data, "name", "NAME")}.`,
    hint: `Put {${bare(data, "name", "NAME")}} in the command or in CP_PATH, if they should differ by it.`,
  }),
  // why it is not running
  held: (data) => ({ message: `It is held${since(data)}.`, hint: "Let it go with `j job unhold JID`." }),
  "back-off": (data) => ({ message: `It waits until ${instant(data, "until")}, after a failure.`, hint: "" }),
  "class-in-setup": (data) => ({
    message: `A machine joins class ${quoted(data, "class", "of it")} when setup job ${bare(data, "jobs", "JID").replace(/, (\d+)$/, " or $1")} is done.`,
    hint: "",
  }),
  stagger: (data) => ({ message: `It waits until ${instant(data, "until")}, as --stagger asked.`, hint: "" }),
  "setup-ahead": (data) => ({
    message: `Machine ${quoted(data, "addr", "of it")} is to be set up by ${String(data["jobs"]).includes(",") ? "jobs" : "job"} ${bare(data, "jobs", "before it")} first.`,
    hint: "",
  }),
  "jobs-ahead": (data) => ({
    message:
      data["count"] === "1" ? "1 job of its class is ahead of it." : `${bare(data, "count", "Some")} jobs of its class are ahead of it.`,
    hint: "",
  }),
  machine: (data) => machineWords(data),
  "machines-busy": (data) => ({ message: `${bare(data, "count", "Many")} machines of its class are busy.`, hint: "" }),
  "last-start": (data) => withStart("The last start did not happen", data),
  "starting-paused": (data) => withStart("The server starts nothing at the moment", data),
  // conditions of the server
  "notifications-failing": (data) => ({
    message: `Notifications to ${bare(data, "host", "a webhook")} (${bare(data, "kind", "webhook")}) have failed${since(data)}: ${bare(data, "reason", "no reason is known")}.`,
    hint: "Correct the webhook, then try it with `j notify test`; jobs do not wait for it.",
  }),
  "not-waiting": (data) => ({
    message: `It is not waiting: it is ${bare(data, "status", "past that")}.`,
    hint: "`j job show JID` tells more.",
  }),
};

export function noticeWords(notice: Notice): Words {
  const wording = Object.hasOwn(NOTICE_WORDS, notice.code) ? NOTICE_WORDS[notice.code] : undefined;
  return wording === undefined ? problemWords(notice) : wording(notice.data);
}

function machineWords(data: Data): Words {
  const name = `Machine ${quoted(data, "addr", "of its class")}`;
  const running = data["running"] === undefined ? "" : ` with job ${bare(data, "running", "")}`;
  if (data["state"] === "free") return { message: `${name} is free.`, hint: "" };
  if (data["state"] === "half-set-up") {
    const setup = bare(data, "setup", "JID");
    return { message: `${name} is half set up: setup job ${setup} waits.`, hint: `\`j job why ${setup}\` says for what.` };
  }
  if (data["state"] === "busy") return { message: `${name} is busy${running}.`, hint: "" };
  if (data["state"] === "unreachable" && data["problem"] !== undefined) return ownProblem(data);
  return withStart(`${name} is ${bare(data, "state", "not to be used")}`, data);
}

/** A problem sent in the same record, its code under `problem`. */
function ownProblem(data: Data): Words {
  const { problem: code, state: _state, running: _running, ...rest } = data;
  const facts = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, String(value)]));
  return problemWords({ code: String(code), data: facts });
}

function withStart(start: string, data: Data): Words {
  if (data["problem"] === undefined) return { message: `${start}.`, hint: "" };
  const { message, hint } = ownProblem(data);
  return { message: `${start}: ${message}`, hint };
}

function since(data: Data): string {
  return data["since"] === undefined ? "" : ` since ${instant(data, "since")}`;
}

function instant(data: Data, key: string): string {
  const value = data[key];
  return value === undefined ? "later" : printable(formatInstant(String(value)));
}
