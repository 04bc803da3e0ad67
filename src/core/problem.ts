/**
 * What went wrong, as a code with data. Problems are stored, sent and compared;
 * the words are chosen where a person reads them (src/terminal/problem.ts).
 */
export interface Problem {
  readonly code: ProblemCode;
  /** What the wording needs: names, paths, fingerprints, the system's own message. Never a secret. */
  readonly data: Readonly<Record<string, string>>;
}

export type ProblemCode =
  // reaching a machine
  | "unreachable"
  | "host-key-unknown"
  | "host-key-changed"
  | "host-key-revoked"
  | "host-key-certificate-only"
  | "authentication-refused"
  | "agent-unreachable"
  | "ssh-config-invalid"
  | "shell-unusable"
  // starting a run
  | "driver-missing"
  | "driver-not-executable"
  | "log-unwritable"
  | "run-directory-failed"
  | "no-space"
  | "start-failed"
  | "command-too-long"
  | "secret-missing"
  // the end of a run
  | "failures-in-a-row"
  | "setup-failed"
  | "nonzero-exit"
  | "timed-out"
  | "canceled"
  | "machine-removed"
  | "processes-may-still-run"
  | "rebooted"
  | "log-end-lost"
  | "supervisor-gone"
  | "run-directory-gone"
  // jobs from elsewhere
  | "imported"
  | "moved"
  // results
  | "results-missing"
  | "results-changed"
  | "results-unreadable"
  | "results-unsafe-name"
  | "results-line-invalid"
  | "results-skipped"
  | "results-none-named"
  | "results-too-many"
  | "checksum-tool-missing"
  | "target-unwritable"
  | "target-is-link"
  | "transfer-stalled"
  | "transfer-cut"
  // results and logs taken elsewhere, later
  | "results-gone"
  | "results-altered"
  | "record-unreadable"
  | "log-gone"
  | "source-not-removed";

export function problem(code: ProblemCode, data: Readonly<Record<string, string>> = {}): Problem {
  return { code, data };
}
