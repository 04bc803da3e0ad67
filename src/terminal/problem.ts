/**
 * The words for every problem of a job or machine: what is wrong, and what to do. The codes are those of
 * core/problem.ts, which this layer may not import; a test sees to it that none is missing.
 */
import type { WireProblem } from "../protocol/problem.ts";
import { bare, counted, type Data, detail, quoted, sentenceCase, unknownCode, type Wording, type Words } from "./wording.ts";

export const PROBLEM_WORDS: Readonly<Record<string, Wording>> = {
  // reaching a machine
  unreachable: (data) => ({
    message: `${sentenceCase(machine(data))} cannot be reached${detail(data)}.`,
    hint: `Try \`j machine check${named(data)}\`; what waits for it starts when it answers again.`,
  }),
  "host-key-unknown": (data) => ({
    message: `The host key of ${machine(data)} is not known: it offers ${key(data)}.`,
    hint: `Compare the fingerprint, then add the key: ${bare(data, "command", "ssh-keyscan -p PORT HOST >>~/.ssh/known_hosts")}${restore(data)}`,
  }),
  "host-key-changed": (data) => ({
    message: `The host key of ${machine(data)} has changed: ${inFile(data)} has ${bare(data, "fingerprintOnFile", "another")}, it offers ${key(data)}.`,
    hint: `If it was installed anew, and the fingerprint is right: ${bare(data, "command", "ssh-keygen -R HOST")}${restore(data)}`,
  }),
  "host-key-revoked": (data) => ({
    message: `The host key of ${machine(data)}, ${key(data)}, is revoked in ${inFile(data)}.`,
    hint: "Do not use this machine until its keys are replaced.",
  }),
  "host-key-certificate-only": (data) => ({
    message: `${sentenceCase(machine(data))} is known by a host certificate only (${inFile(data)}), which cannot be checked.`,
    hint: `Add its plain key: ${bare(data, "command", "ssh-keyscan -p PORT HOST >>~/.ssh/known_hosts")}${restore(data)}`,
  }),
  "authentication-refused": (data) => ({
    message: `${sentenceCase(machine(data))} refused to let user ${quoted(data, "user", "named in the SSH configuration")} in: ${tried(data)}.`,
    hint: "Add your public key there (ssh-copy-id), or name a key with --identity or in ~/.ssh/config.",
  }),
  "agent-unreachable": (data) => ({
    message: `The SSH agent ${quoted(data, "socket", "named by SSH_AUTH_SOCK")} does not answer${detail(data)}, and ${machine(data)} took no other key.`,
    hint: "Start the agent, or start the server without SSH_AUTH_SOCK and with --identity.",
  }),
  "ssh-config-invalid": (data) => ({
    message: `The SSH configuration${data["path"] === undefined ? "" : ` ${quoted(data, "path", "")}`} cannot be used${detail(data)}.`,
    hint: "Correct it; `ssh -G HOST` shows what OpenSSH makes of it.",
  }),
  "shell-unusable": (data) => ({
    message: `The login shell of ${machine(data)} does not run commands${detail(data)}.`,
    hint: "Its start-up files must not exit, and must not wait for anything: try `time ssh HOST exec /bin/sh -c true`.",
  }),
  // starting a run
  "driver-missing": (data) => ({
    message: `The driver ${quoted(data, "path", "given by --runner")} does not exist.`,
    hint: "Put it there, or start the server with another --runner; the job waits.",
  }),
  "driver-not-executable": (data) => ({
    message: `The driver ${quoted(data, "path", "given by --runner")} is not executable${detail(data)}.`,
    hint: "Make it executable (chmod +x); the job waits.",
  }),
  "log-unwritable": (data) => ({
    message: `The log ${quoted(data, "path", "of the job")} cannot be written${detail(data)}.`,
    hint: "Make the log folder writable for the server; the job waits.",
  }),
  "run-directory-failed": (data) => ({
    message: `The run directory ${quoted(data, "path", "of the job")} cannot be made${on(data)}${detail(data)}.`,
    hint: "Make its parent writable, or set run_root of the class in config.toml; the job waits.",
  }),
  "no-space": (data) => ({
    message: `No space is left${data["path"] === undefined ? "" : ` at ${quoted(data, "path", "")}`}${on(data)}.`,
    hint: "Free some space: it goes on by itself then.",
  }),
  "start-failed": (data) => ({
    message: `The command could not be started${on(data)}${detail(data)}${data["path"] === undefined ? "" : ` (${quoted(data, "path", "")})`}.`,
    hint: "The job waits and is tried again.",
  }),
  "command-too-long": (data) => ({
    message: `The command is too long for the system after substitution${data["bytes"] === undefined ? "" : ` (${bare(data, "bytes", "")} bytes)`}.`,
    hint: "Put long values in a file, and pass its path.",
  }),
  "secret-missing": (data) => ({
    message: `The secret variable ${quoted(data, "name", "that the command names")} is not set.`,
    hint: `Set it with \`j var set ${bare(data, "name", "NAME")} - --secret\`; the job waits for it.`,
  }),
  // the end of a run
  "failures-in-a-row": (data) => ({
    message: `${bare(data, "count", "Several")} failures in a row that count against it: jobs ${bare(data, "jobs", "unknown")}.`,
    hint: `See their logs; then put it back with \`j machine restore${named(data) || " ADDR"}\`.`,
  }),
  "setup-failed": (data) => ({
    message: `Setup job ${bare(data, "jid", "of it")}: ${howSetupEnded(data)}`,
    hint: `See \`j job log -l ${bare(data, "jid", "JID")}\`; then set it up again, or put it back as it is with \`j machine restore${named(data) || " ADDR"}\`.`,
  }),
  "nonzero-exit": (data) => ({
    message:
      sentenceOrNull(failedCommand(data)) ??
      (data["signal"] === undefined
        ? `Exited with ${bare(data, "exit_code", bare(data, "exitCode", "a failure"))}.`
        : `Killed by ${bare(data, "signal", "a signal")}.`),
    hint: "See what it printed: `j job log -l JID`, and `-e` for its standard error.",
  }),
  "timed-out": (data) => ({
    message: `Stopped${atTimeout(data)}.`,
    hint: "Give the next one longer: --timeout, or `j job settimeout` while it runs.",
  }),
  canceled: () => ({ message: "Canceled.", hint: "" }),
  "machine-removed": (data) => ({ message: `Canceled, because ${machine(data)} was taken out of the pool.`, hint: "" }),
  "processes-may-still-run": (data) => ({
    message: `Canceled without proof of its end: its processes may still run${on(data)}.`,
    hint: "Look for them there before the machine is used for measurements.",
  }),
  rebooted: (data) => ({
    message: `${sentenceCase(machine(data))} was rebooted while it ran.`,
    hint: "Queue it again, or end it with `j job rm JID`.",
  }),
  "log-end-lost": (data) => ({
    message: `${sentenceCase(machine(data))} was rebooted after its end: the end of its output, with any RESULTS: line in it, may be lost.`,
    hint: "What it left on the machine is still there: see its log for what is missing, and fetch that by hand.",
  }),
  "supervisor-gone": (data) => ({
    message: `What watched over the run is gone${on(data)}, and left no exit code${detail(data)}. Most likely it was killed.`,
    hint: "See its log for how far it came; end it with `j job rm JID`. Where KillUserProcesses is set, `loginctl enable-linger` keeps jobs.",
  }),
  "run-directory-gone": (data) => ({
    message: `The run directory ${quoted(data, "path", "of the job")} is gone${on(data)}, and with it the exit code.`,
    hint: "See its log for how far it came; end it with `j job rm JID`.",
  }),
  // jobs from elsewhere
  imported: (data) => ({
    message:
      data["message"] === undefined
        ? `It was ${bare(data, "was", "under way")} in the old system when it was imported; what became of it is not known.`
        : `In the old system: ${quoted(data, "message", "it failed")}.`,
    hint: data["message"] === undefined ? "Queue it again with `j job clone JID`." : "See its log, if it was kept: `j job log -l JID`.",
  }),
  moved: (data) => ({
    message: `It was ${bare(data, "was", "under way")} on ${machine(data)} when its state was moved here: this server cannot see it.`,
    hint: "Look for its processes there; then end it with `j job rm JID`, or fetch its results with `j job cpresults`.",
  }),
  // results
  "results-missing": (data) => ({
    message: `Nothing${on(data)} has a path that begins with ${quoted(data, "prefix", "the prefix that was printed")}${data["skipped"] === undefined || data["skipped"] === "" ? "" : `, but for what is no file or folder: ${quoted(data, "skipped", "")}`}.`,
    hint: "The RESULTS: line must name what the job wrote, before it exits.",
  }),
  "results-changed": (data) => ({
    message: `${quoted(data, "path", "A file")} changed while it was copied.`,
    hint: "Nothing may write to results after the job has exited.",
  }),
  "results-unreadable": (data) => ({
    message: `${quoted(data, "path", "A file")} cannot be read${on(data)}${detail(data)}.`,
    hint: "Make it readable for the login user there.",
  }),
  "results-unsafe-name": (data) => ({
    message: `The name ${quoted(data, "path", "of a file")} cannot be a file's name in the target folder${detail(data)}.`,
    hint: "Nothing was copied; name results inside their folder.",
  }),
  "results-line-invalid": (data) => ({
    message: `The line ${quoted(data, "line", "after RESULTS:")} names no results${detail(data)}.`,
    hint: "Print `RESULTS: PREFIX` with a path of at most 4096 bytes, without control characters or a leading hyphen.",
  }),
  "results-skipped": (data) => ({
    message: `${counted(data, "count", { one: "entry was", many: "entries were", instead: "Some entries were" })} passed over: only regular files and folders are copied${data["path"] === undefined ? "" : ` (${quoted(data, "path", "")})`}.`,
    hint: "Put links and devices into an archive, if they matter.",
  }),
  "results-none-named": () => ({
    message: "It printed no `RESULTS:` line, so nothing was copied.",
    hint: "Let it print `RESULTS: PREFIX`, or queue it without CP_PATH.",
  }),
  "results-too-many": (data) => ({
    message: `There are too many results: more than ${bare(data, "limit", "are allowed")}${data["what"] === undefined ? "" : ` ${bare(data, "what", "")}`}.`,
    hint: "Put them into an archive, and name that.",
  }),
  "checksum-tool-missing": (data) => ({
    message: `${sentenceCase(machine(data))} has neither sha256sum nor shasum nor openssl, so that copies cannot be verified.`,
    hint: "Install one of them there.",
  }),
  "target-unwritable": (data) => ({
    message: `${quoted(data, "path", "The target folder")} on this host cannot be written${detail(data)}.`,
    hint: "Make it writable for the server.",
  }),
  "target-is-link": (data) => ({
    message: `${quoted(data, "path", "A folder in the target")} is a link, which is not followed.`,
    hint: "Remove the link, or name its target as CP_PATH.",
  }),
  "transfer-stalled": (data) => ({
    message: `No bytes came${from(data)} for ${seconds(data)}.`,
    hint: "The files are still there; see `j machine check`.",
  }),
  "results-gone": (data) => ({
    message: `The result ${quoted(data, "path", "of the job")} is not there any more.`,
    hint: "The rest was taken; `j job show JID` has its size and sha256.",
  }),
  "results-altered": (data) => ({
    message: `The result ${quoted(data, "path", "of the job")} was changed since it was copied here.`,
    hint: "It stays where it is and the rest was taken; take it by hand if the change is meant.",
  }),
  "record-unreadable": (data) => ({
    message: `The record ${quoted(data, "path", "of the results")} cannot be read${detail(data)}, and only it names the files.`,
    hint: "Restore it, or take the files by hand.",
  }),
  "log-gone": (data) => ({ message: `The log ${quoted(data, "path", "of the job")} is not there any more.`, hint: "The rest was taken." }),
  "source-not-removed": (data) => ({
    message: `What was moved could not all be removed from ${quoted(data, "path", "where it was")}${detail(data)}.`,
    hint: "It is there twice now: make that folder writable for the server, and repeat the command.",
  }),
  "transfer-cut": (data) => ({
    // It may have carried a run, a probe or a copy: none of them is lost there.
    message: `The connection${to(data)} was cut${detail(data)}.`,
    hint: "What runs and what lies on the machine stays; `j machine check` tries it again.",
  }),
};

/** What fits in a column; the rest is shown by `j job show`. Absent: the sentence, cut. */
const SHORT_WORDS: Readonly<Record<string, Wording>> = {
  "setup-failed": () => short("setup failed"),
  "nonzero-exit": (data) =>
    short(
      ofCommand(data) +
        (data["signal"] === undefined ? `exit ${bare(data, "exit_code", bare(data, "exitCode", "?"))}` : bare(data, "signal", "")),
    ),
  "timed-out": (data) => short(`${ofCommand(data)}timed out`),
  canceled: () => short(""),
  "machine-removed": () => short("machine removed"),
  "processes-may-still-run": () => short("may still run"),
  rebooted: () => short("rebooted"),
  "log-end-lost": () => short("output lost"),
  "supervisor-gone": () => short("status lost"),
  "run-directory-gone": () => short("status lost"),
  unreachable: () => short("unreachable"),
  "results-missing": () => short("no results"),
  "results-none-named": () => short("no RESULTS:"),
  "results-skipped": () => short("some skipped"),
  "no-space": () => short("no space"),
  "driver-missing": () => short("no driver"),
  "driver-not-executable": () => short("driver not executable"),
  "secret-missing": (data) => short(`needs ${bare(data, "name", "a secret")}`),
  "host-key-unknown": () => short("host key unknown"),
  "host-key-changed": () => short("host key changed"),
  "host-key-revoked": () => short("host key revoked"),
  "authentication-refused": () => short("login refused"),
};

export function problemWords(problem: WireProblem): Words {
  const wording = Object.hasOwn(PROBLEM_WORDS, problem.code) ? PROBLEM_WORDS[problem.code] : undefined;
  return wording === undefined ? unknownCode(problem.code, problem.data) : wording(problem.data);
}

export function shortProblem(problem: WireProblem): string {
  const wording = Object.hasOwn(SHORT_WORDS, problem.code) ? SHORT_WORDS[problem.code] : undefined;
  return wording === undefined ? problemWords(problem).message.replace(/\.$/, "") : wording(problem.data).message;
}

function short(message: string): Words {
  return { message, hint: "" };
}

/** Which of a setup job's commands it was, and how it ended; null for any other job. */
function howSetupEnded(data: Data): string {
  if (data["canceled"] !== undefined) return `canceled in ${numbered(data)}: ${beginning(data)}.`;
  return data["seconds"] === undefined ? (failedCommand(data) ?? "a command failed.") : `stopped${atTimeout(data)}.`;
}

function failedCommand(data: Data): string | null {
  if (data["command_number"] === undefined) return null;
  const how =
    data["signal"] === undefined
      ? `failed with exit code ${bare(data, "exit_code", "?")}`
      : `was killed by ${bare(data, "signal", "a signal")}`;
  return `${numbered(data)} ${how}: ${beginning(data)}.`;
}

function sentenceOrNull(text: string | null): string | null {
  return text === null ? null : sentenceCase(text);
}

function atTimeout(data: Data): string {
  const time = data["seconds"] === undefined ? "" : ` of ${seconds(data)}`;
  return ` at its timeout${time}${data["command_number"] === undefined ? "" : `, in ${numbered(data)}: ${beginning(data)}`}`;
}

function numbered(data: Data): string {
  return `command ${bare(data, "command_number", "?")} of ${bare(data, "command_count", "several")}`;
}

/** Enough of a command to know it by. */
function beginning(data: Data): string {
  const command = bare(data, "command", "");
  return `"${command.length <= COMMAND_SHOWN_MAX ? command : `${command.slice(0, COMMAND_SHOWN_MAX - 1)}…`}"`;
}

const COMMAND_SHOWN_MAX = 120;

function ofCommand(data: Data): string {
  return data["command_number"] === undefined ? "" : `command ${bare(data, "command_number", "")}: `;
}

function machine(data: Data): string {
  return quoted(data, "machine", quoted(data, "addr", quoted(data, "host", "the machine")));
}

function named(data: Data): string {
  const name = data["machine"] ?? data["addr"] ?? data["host"];
  return name === undefined ? "" : ` ${bare({ name }, "name", "")}`;
}

/** A host key quarantines: once the key is in order a person says so, in the same line. */
function restore(data: Data): string {
  const name = named(data).slice(1);
  const word = /^[\w.:@%/[\]-]*$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  return ` && j machine restore ${word === "" ? "ADDR" : word}`;
}

function seconds(data: Data): string {
  return counted(data, "seconds", { one: "second", many: "seconds", instead: "60 seconds" });
}

function on(data: Data): string {
  return named(data) === "" ? "" : ` on ${machine(data)}`;
}

function from(data: Data): string {
  return named(data) === "" ? "" : ` from ${machine(data)}`;
}

function to(data: Data): string {
  return named(data) === "" ? "" : ` to ${machine(data)}`;
}

function inFile(data: Data): string {
  const line = data["line"] === undefined ? "" : `line ${bare(data, "line", "")} of `;
  return line + quoted(data, "file", "known_hosts");
}

function key(data: Data): string {
  const type = data["keyType"] === undefined ? "" : `${bare(data, "keyType", "")} `;
  return type + bare(data, "fingerprint", "a key nobody vouched for");
}

function tried(data: Data): string {
  const offered =
    data["tried"] === undefined || data["tried"] === "" ? "there was no key to offer" : `it refused ${bare(data, "tried", "")}`;
  const unusable = data["unusable"] === undefined || data["unusable"] === "" ? "" : `; not usable: ${bare(data, "unusable", "")}`;
  return offered + unusable;
}
