/** The words for the client's own errors: there was no answer, or none that could be used. A test names every code. */
import { bare, type Data, quoted, unknownCode, type Wording, type Words } from "./wording.ts";

export const CLIENT_ERROR_WORDS: Readonly<Record<string, Wording>> = {
  "bad-address": (data) => ({
    message: `${quoted(data, "address", "That")} is no address of a server on this host${data["reason"] === "not-loopback" ? ": it is not a loopback address" : ""}.`,
    hint: "Write HOST:PORT as in 127.0.0.1:3030; a server on another host is reached with `ssh -L 3030:127.0.0.1:3030 host`.",
  }),
  "no-server": (data) => ({
    message: `No server answers at ${bare(data, "address", "that address")}${reason(data, ["refused", "closed"])}.`,
    hint: "Start it with `expjobserver serve --detach`, or name another with --address.",
  }),
  "not-allowed": (data) => ({
    message: `The server${at(data)} does not accept the token${data["token_file"] === undefined ? "" : ` in ${quoted(data, "token_file", "")}`}.`,
    hint: `Name its state folder with --state-dir, or copy its token to ${quoted(data, "token_file", "the state folder here")}; a tunnel needs the same port on both ends: ${tunnel(data)}.`,
  }),
  "token-unreadable": (data) => ({ message: tokenMessage(data), hint: tokenHint(data) }),
  "version-mismatch": (data) => ({
    message: `The server${at(data)} is version ${bare(data, "server_version", "unknown")}, this client ${bare(data, "client_version", "another")}, and they do not work together${data["method"] === undefined ? "" : ` (${bare(data, "method", "")})`}.`,
    hint: "Restart the server with this version: running jobs go on.",
  }),
  "connection-lost": (data) => ({
    message: `The connection to the server${at(data)} was lost${data["outcome"] === "unknown" ? ": the change may or may not have been made" : " before it answered"}.`,
    hint: data["outcome"] === "unknown" ? "Look before you repeat it: `j job ls`." : "`j status` says whether it still runs.",
  }),
  timeout: (data) => ({
    message: `What listens${at(data)} did not answer in time.`,
    hint: "Look at its log, or name another server with --address.",
  }),
  "not-our-server": (data) => ({
    message: `What listens${at(data)} is not the expjobserver that this token belongs to.`,
    hint: "Another program or another user's server has that port: name yours with --address and --state-dir.",
  }),
  "server-busy": (data) => ({
    message: data["reason"] === "shutting-down" ? "The server is stopping." : "The server has as many connections as it takes.",
    hint:
      data["reason"] === "shutting-down" ? "Start it again with `expjobserver serve`." : "Close some clients, or try again in a moment.",
  }),
};

export function clientErrorWords(error: { readonly code: string; readonly data: Readonly<Record<string, string>> }): Words {
  const wording = Object.hasOwn(CLIENT_ERROR_WORDS, error.code) ? CLIENT_ERROR_WORDS[error.code] : undefined;
  return wording === undefined ? unknownCode(error.code, error.data) : wording(error.data);
}

function at(data: Data): string {
  return data["address"] === undefined ? "" : ` at ${bare(data, "address", "")}`;
}

function tunnel(data: Data): string {
  const port = /:(\d+)$/.exec(bare(data, "address", ""))?.[1] ?? "3030";
  return `\`ssh -L ${port}:127.0.0.1:${port} host\``;
}

function reason(data: Data, known: readonly string[]): string {
  const text = data["reason"];
  return text === undefined || known.includes(String(text)) ? "" : ` (${bare(data, "reason", "")})`;
}

const TOKEN_FAULTS: Readonly<Record<string, string>> = {
  missing: "does not exist",
  "foreign-owner": "belongs to another user",
  "readable-by-others": "is readable by others",
  "not-a-file": "is not a file",
  malformed: "holds no token",
};

function tokenMessage(data: Data): string {
  const fault = TOKEN_FAULTS[String(data["reason"])] ?? "cannot be read";
  return `The token file ${quoted(data, "path", "of the server")} ${fault}.`;
}

function tokenHint(data: Data): string {
  if (data["reason"] === "missing")
    return "Start the server with `expjobserver serve --detach`, or name its state folder with --state-dir.";
  if (data["reason"] === "readable-by-others") return `Close it to others: chmod 600 ${bare(data, "path", "TOKEN")}`;
  return "Name the state folder of your own server with --state-dir.";
}
