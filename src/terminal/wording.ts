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

/** `: Connection refused`, when the system or the other side said something. */
export function detail(data: Data): string {
  const value = data["detail"] ?? data["reason"] ?? data["message"] ?? data["error"];
  const text = value === undefined ? "" : printable(String(value)).trim().replace(/\.$/, "");
  return text === "" ? "" : `: ${text}`;
}

/** For a code that this client does not know: a newer server sent it, and it is shown as it is. */
export function unknownCode(code: string, data: Data): Words {
  const facts = Object.entries(data).map(([key, value]) => `${printable(key)} ${JSON.stringify(printable(String(value)))}`);
  const what = printable(code).replaceAll("-", " ");
  return { message: `${sentenceCase(what)}${facts.length > 0 ? ` (${facts.join(", ")})` : ""}.`, hint: "" };
}

export function sentenceCase(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
