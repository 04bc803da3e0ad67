/** Every code that can be sent has words: one sentence for what is wrong, one line for what to do. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SERVE_EXIT_CODES } from "../../src/config/serve-outcome.ts";
import { ERROR_CODES } from "../../src/protocol/error.ts";
import { CLIENT_ERROR_WORDS, clientErrorWords } from "../../src/terminal/client-error.ts";
import { jobError, jobJson } from "../../src/terminal/job-json.ts";
import { noticeWords } from "../../src/terminal/notice.ts";
import { PROBLEM_WORDS, problemWords, shortProblem } from "../../src/terminal/problem.ts";
import { REQUEST_ERROR_WORDS, requestErrorWords } from "../../src/terminal/request-error.ts";
import { SERVE_FAILURE_WORDS, serveFailureWords } from "../../src/terminal/serve-failure.ts";
import type { Words } from "../../src/terminal/wording.ts";
import { wireJob } from "./samples.ts";

const source = (path: string): string => readFileSync(join(import.meta.dir, "../../src", path), "utf8");
const codesAfter = (text: string): string[] => [...text.matchAll(/^ {2}\| "([a-z0-9-]+)"/gm)].map((match) => match[1] ?? "");
const PROBLEM_CODES = codesAfter(source("core/problem.ts").split("export type ProblemCode")[1] ?? "");
const CLIENT_CODES = codesAfter(source("client/error.ts"));
const WHY_CODES = [...source("daemon/why.ts").matchAll(/^ {4}\| "([a-z-]+)"/gm)].map((match) => match[1] ?? "");

function sentences({ message, hint }: Words): void {
  expect(message).toMatch(/^\S.*\.$/s);
  expect(message).not.toContain("undefined");
  expect(message).not.toContain("\n");
  expect(hint).not.toContain("\n");
  expect(hint).not.toContain("undefined");
}

describe("words", () => {
  test("exist for every problem, and for no other", () => {
    expect(PROBLEM_CODES.length).toBeGreaterThan(30);
    expect(Object.keys(PROBLEM_WORDS).sort()).toEqual([...PROBLEM_CODES].sort());
    for (const code of PROBLEM_CODES) {
      sentences(problemWords({ code, data: {} }));
      expect(shortProblem({ code, data: {} }).length).toBeLessThan(200);
    }
  });

  test("do not speak of copying when a connection is cut: it may have carried a run", () => {
    const { message, hint } = problemWords({ code: "transfer-cut", data: { machine: "node7:22", message: "closed" } });
    expect(message).toBe('The connection to "node7:22" was cut: closed.');
    expect(hint).not.toContain("files");
  });

  test("exist for every error of a request, of the client and of serve", () => {
    expect(Object.keys(REQUEST_ERROR_WORDS).sort()).toEqual([...ERROR_CODES].sort());
    for (const code of ERROR_CODES) sentences(requestErrorWords({ code, data: {} }));
    expect(Object.keys(CLIENT_ERROR_WORDS).sort()).toEqual([...CLIENT_CODES].sort());
    for (const code of CLIENT_CODES) sentences(clientErrorWords({ code, data: {} }));
    expect(Object.keys(SERVE_FAILURE_WORDS).sort()).toEqual(Object.keys(SERVE_EXIT_CODES).sort());
    for (const code of Object.keys(SERVE_FAILURE_WORDS)) sentences(serveFailureWords({ code, data: {} }));
  });

  test("exist for every reason of `job why` and every warning", () => {
    expect(WHY_CODES.length).toBeGreaterThan(5);
    for (const code of [...WHY_CODES, "class-empty", "placeholder-undefined"]) {
      sentences(noticeWords({ code, data: {} }));
      expect(noticeWords({ code, data: { zzz: "1" } }).message).not.toContain("zzz");
    }
  });

  test("say what is known", () => {
    const data = {
      machine: "node7:22",
      keyType: "ssh-ed25519",
      fingerprint: "SHA256:new",
      fingerprintOnFile: "SHA256:old",
      file: "/home/user/.ssh/known_hosts",
      line: "3",
      command: "ssh-keygen -R node7",
    };
    expect(problemWords({ code: "host-key-changed", data })).toEqual({
      message:
        'The host key of "node7:22" has changed: line 3 of "/home/user/.ssh/known_hosts" has SHA256:old, it offers ssh-ed25519 SHA256:new.',
      hint: "If it was installed anew, and the fingerprint is right: ssh-keygen -R node7 && j machine restore node7:22",
    });
    expect(requestErrorWords({ code: "bad-command", data: { reason: "empty" } }).message).toBe("The command cannot be used: it is empty.");
    expect(serveFailureWords({ code: "port-taken", data: { address: "127.0.0.1:3030", pid: "12", command: "nc -l" } }).message).toBe(
      "127.0.0.1:3030 is taken by process 12 (nc -l).",
    );
  });

  test("lead from a host key to a machine that works again", () => {
    const data = { machine: "node7:22", host: "node7.lab", command: "ssh-keyscan node7.lab >> '/home/user/.ssh/known_hosts'" };
    for (const code of ["host-key-unknown", "host-key-changed", "host-key-certificate-only"]) {
      expect(problemWords({ code, data }).hint).toEndWith(`: ${data.command} && j machine restore node7:22`);
    }
    expect(problemWords({ code: "host-key-unknown", data: {} }).hint).toEndWith("known_hosts && j machine restore ADDR");
    expect(problemWords({ code: "host-key-unknown", data: { ...data, machine: "a b;c" } }).hint).toEndWith("j machine restore 'a b;c'");
  });

  test("say what the resolver and the socket mean", () => {
    const said = (message: string) => problemWords({ code: "unreachable", data: { machine: "n7", message } }).message;
    expect(said("getaddrinfo ENOTFOUND n7")).toBe('"n7" cannot be reached: no host has that name (ENOTFOUND n7).');
    expect(said("connect ECONNREFUSED 10.0.0.7:22")).toBe('"n7" cannot be reached: nothing listens there (ECONNREFUSED 10.0.0.7:22).');
    expect(said("connect EHOSTUNREACH 10.0.0.7:22")).toBe('"n7" cannot be reached: no route leads there (EHOSTUNREACH 10.0.0.7:22).');
    expect(said("Connection lost")).toBe('"n7" cannot be reached: Connection lost.');
  });

  test("count in the singular and the plural", () => {
    expect(problemWords({ code: "timed-out", data: { seconds: "1" } }).message).toBe("Stopped at its timeout of 1 second.");
    expect(problemWords({ code: "timed-out", data: { seconds: "90" } }).message).toBe("Stopped at its timeout of 90 seconds.");
    expect(problemWords({ code: "transfer-stalled", data: { seconds: "1" } }).message).toBe("No bytes came for 1 second.");
    expect(problemWords({ code: "results-skipped", data: { count: "1" } }).message).toStartWith("1 entry was passed over:");
    expect(problemWords({ code: "results-skipped", data: { count: "2" } }).message).toStartWith("2 entries were passed over:");
  });

  test("tell who is not allowed in which file the token was, and what a tunnel needs", () => {
    const { message, hint } = clientErrorWords({
      code: "not-allowed",
      data: { address: "127.0.0.1:3031", token_file: "/home/user/token" },
    });
    expect(message).toBe('The server at 127.0.0.1:3031 does not accept the token in "/home/user/token".');
    expect(hint).toContain('"/home/user/token"');
    expect(hint).toContain("--state-dir");
    expect(hint).toContain("ssh -L 3031:127.0.0.1:3031");
  });

  test("say of a limit what it limits, and how to keep to it", () => {
    const words = (what: string) => requestErrorWords({ code: "limit-exceeded", data: { what, max: 10 } });
    expect(words("count").message).toBe("That is more than the limit: at most 10 jobs in one request.");
    expect(words("timeout").message).toBe("That is more than the limit: at most 10 seconds of timeout.");
    for (const what of ["timeout", "variable", "variables", "command-line"]) expect(words(what).hint).not.toContain("queued_jobs");
    expect(words("queued-jobs").hint).toContain("queued_jobs");
    expect(requestErrorWords({ code: "bad-variable-name", data: { name: "JID", reason: "built-in" } }).hint).toBe(
      "Take another name: {JID} is there without being set.",
    );
  });

  test("show an unknown code as it is, and never what it does to a terminal", () => {
    expect(problemWords({ code: "brand-new", data: { path: "/a\x1b[2J" } }).message).toBe('Brand new (path "/a\\e[2J").');
    expect(problemWords({ code: "__proto__", data: {} }).message).toContain("proto");
  });

  test("quote outside text harmlessly", () => {
    expect(problemWords({ code: "driver-missing", data: { path: "/x\n\x1b[31m" } }).message).toBe(
      'The driver "/x\\n\\e[31m" does not exist.',
    );
  });
});

describe("the JSON of a job", () => {
  const KEYS = [
    ...["jid", "kind", "status", "class", "cmd", "cmds", "command_line", "machine", "matrix", "tag", "attempt", "retry_of", "retried_by"],
    ...[
      "variables",
      "cp_results",
      "results",
      "results_path",
      "files",
      "exit_code",
      "signal",
      "error",
      "warning",
      "log",
      "err_log",
      "timeout",
    ],
    ...["notify", "created", "started", "ended", "duration"],
  ];

  test("has exactly the keys that were promised", () => {
    expect(Object.keys(jobJson(wireJob())).sort()).toEqual([...KEYS].sort());
  });

  test("has problems in words", () => {
    const json = jobJson(
      wireJob({
        status: "failed",
        error: { code: "nonzero-exit", data: { exit_code: "3" } },
        warning: { code: "results-none-named", data: {} },
      }),
    );
    expect(json.error).toBe("Exited with 3.");
    expect(json.warning).toBe("It printed no `RESULTS:` line, so nothing was copied.");
  });

  test("says first that results were not copied", () => {
    const error = { code: "no-space", data: { path: "/r", results_not_copied: "yes" } };
    expect(jobError({ error })).toStartWith("results not copied: ");
  });
});
