/** How a code with data becomes words: what the tables of problem.ts, request-error.ts and the rest share. */
import { printable } from "./printable.ts";

export type Data = Readonly<Record<string, string | number>>;

export interface Words {
  /** One sentence: what is wrong. */
  readonly message: string;
  /** One sentence: what to do about it; empty when there is nothing to do. */
  readonly hint: string;
}

export type Wording = (data: Data) => Words;

/** The value in quotes, or the words that stand for it when it was not sent. */
export function quoted(data: Data, key: string, instead: string): string {
  const value = data[key];
  return value === undefined || value === "" ? instead : `"${printable(String(value))}"`;
}

/** The value as it is, or the words that stand for it when it was not sent. */
export function bare(data: Data, key: string, instead: string): string {
  const value = data[key];
  return value === undefined || value === "" ? instead : printable(String(value));
}

/** `1 second`, `90 seconds`; the words that stand for it when the number was not sent. */
export function counted(data: Data, key: string, words: { readonly one: string; readonly many: string; readonly instead: string }): string {
  const count = bare(data, key, "");
  if (count === "") return words.instead;
  return `${count} ${count === "1" ? words.one : words.many}`;
}

/** `: Connection refused`, when the system or the other side said something; a reason that is a code is put into words. */
export function detail(data: Data): string {
  const value = data["message"] ?? data["reason"] ?? data["fault"];
  const text = value === undefined ? "" : printable(String(value)).trim().replace(/\.$/, "");
  if (text === "") return "";
  return `: ${(Object.hasOwn(REASONS, text) ? REASONS[text] : undefined) ?? systemWords(text) ?? text}`;
}

const REASONS: Readonly<Record<string, string>> = {
  quotes: "its quotes are not closed",
  empty: "it is empty",
  nul: "it holds a NUL byte",
  "name-twice": "it stands more than once",
  "no-values": "it has no values",
  "built-in": "the server gives it its value",
  "secret-in-path": "a secret may not stand in a path",
  claimed: "this run was claimed before",
  "work-directory": "its work directory is missing",
  "supervisor-died": "the shell that watches over it ended at once",
  "too-long": "it is too long",
  "not-utf8": "it is not UTF-8",
  "leading-hyphen": "it begins with a hyphen",
  "control-character": "it holds a control character",
  missing: "it does not exist",
  "not-a-file": "it is not a file",
  "foreign-owner": "it belongs to another user",
  "readable-by-others": "others can read it",
  malformed: "it holds no token",
  unreadable: "it cannot be read",
  "not-loopback": "it is not an address of this host alone",
  "no-permission": "that is not allowed",
  "listen-failed": "the system refused",
};

/** What the system calls these says little at night. */
const SYSTEM: Readonly<Record<string, string>> = {
  ENOTFOUND: "no host has that name",
  EAI_AGAIN: "the name service does not answer",
  ECONNREFUSED: "nothing listens there",
  EHOSTUNREACH: "no route leads there",
  ENETUNREACH: "no route leads there",
  ETIMEDOUT: "nothing answers there",
};

function systemWords(text: string): string | undefined {
  const match = /^(?:getaddrinfo|connect) ([A-Z_]+) (\S+)$/.exec(text);
  const code = match?.[1] ?? "";
  return Object.hasOwn(SYSTEM, code) ? `${SYSTEM[code]} (${code} ${match?.[2] ?? ""})` : undefined;
}

/** A hint about one job, with the job's id where `JID` stands: it can be typed as it is. */
export function forJob(hint: string, jid: number): string {
  return hint.replaceAll(/\bJID\b/g, String(jid));
}

/** For a code that this client does not know: a newer server sent it, and it is shown as it is. */
export function unknownCode(code: string, data: Data): Words {
  const facts = Object.entries(data).map(([key, value]) => `${printable(key)} "${printable(String(value))}"`);
  const what = printable(code).replaceAll("-", " ");
  return { message: `${sentenceCase(what)}${facts.length > 0 ? ` (${facts.join(", ")})` : ""}.`, hint: "" };
}

export function sentenceCase(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
