/** What the tests of the copier share: folders that go away, what a copy needs, and shells that stand between. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type CopyDone, type CopyOptions, type CopyOutcome, copyResults } from "../../../src/daemon/copier/copy-results.ts";
import { LocalMachineShell } from "../../../src/daemon/local-shell.ts";
import type { MachineShell, ShellProcess, ShellRunOptions } from "../../../src/daemon/machine-shell.ts";

export class CopyFixture implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-copy-"));
  /** Plays the machine's disk. */
  readonly source = join(this.folder, "machine");
  /** CP_PATH. */
  readonly target = join(this.folder, "results");

  constructor() {
    mkdirSync(this.source);
  }

  /** Writes files below the machine's folder. */
  write(files: Readonly<Record<string, string | Uint8Array>>): void {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(this.source, name)), { recursive: true });
      writeFileSync(join(this.source, name), content);
    }
  }

  options(changes: Partial<CopyOptions> = {}): CopyOptions {
    return {
      shell: new LocalMachineShell("local"),
      jid: 7,
      runId: "run1",
      prefixes: ["exp7"],
      startDirectory: this.source,
      target: this.target,
      provenance: { command: "measure", variables: { n: "1" }, machine: "local", facts: null, startedAt: 1000, endedAt: 2000, exitCode: 0 },
      ...changes,
      limits: { retryDelayMs: 10, ...changes.limits },
    };
  }

  copy(changes: Partial<CopyOptions> = {}): Promise<CopyOutcome> {
    return copyResults(this.options(changes));
  }

  read(path: string): string {
    return readFileSync(join(this.target, path), "utf8");
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Fails the test with the problem when the copy failed. */
export function mustBeCopied(outcome: CopyOutcome): CopyDone {
  if (outcome.kind === "failed") throw new Error(`not copied: ${JSON.stringify(outcome.problem)}`);
  return outcome;
}

/** The code and data of the failure; fails the test when there was none. */
export function mustFail(outcome: CopyOutcome): { code: string; data: Readonly<Record<string, string>>; retryable: boolean } {
  if (outcome.kind !== "failed") throw new Error("copied, but it should have failed");
  return { ...outcome.problem, retryable: outcome.retryable };
}

/** Path and sha256 of every file below a folder, path and "folder" of every folder; what is ours is left out. */
export function tree(folder: string, prefix = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (path === ".expjobserver") continue;
    if (entry.isDirectory()) Object.assign(found, { [path]: "folder" }, tree(folder, path));
    else found[path] = entry.isFile() ? sha256(readFileSync(join(folder, path))) : "other";
  }
  return found;
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A real shell before each command of which something happens, or whose scripts get a beginning. */
export class InterferingShell implements MachineShell {
  readonly machine = "local";
  readonly scripts: string[] = [];
  readonly #shell = new LocalMachineShell("local");
  readonly #before: (script: string, count: number) => string | undefined;

  readonly runsLoginShell: boolean;

  /** `before` may return a script to run in place; `count` is how often this one was run, this time included. */
  constructor(before: (script: string, count: number) => string | undefined, options: { readonly runsLoginShell?: boolean } = {}) {
    this.#before = before;
    this.runsLoginShell = options.runsLoginShell ?? false;
  }

  run(script: string, options?: ShellRunOptions): Promise<ShellProcess> {
    this.scripts.push(script);
    const count = this.scripts.filter((other) => other === script).length;
    return this.#shell.run(this.#before(script, count) ?? script, options);
  }
}

type Answer = AsyncIterable<Uint8Array> | Uint8Array | string;

/** A machine that says what it is told to, whatever it is asked. */
export class LyingShell implements MachineShell {
  readonly machine = "liar";
  readonly runsLoginShell: boolean;
  readonly #answer: (script: string) => Answer;
  readonly #errors: Answer | null;
  readonly processes: ShellProcess[] = [];

  /** @param errors what it says on standard error, of one command that asks for all */
  constructor(answer: (script: string) => Answer, errors: Answer | null = null) {
    this.#answer = answer;
    this.#errors = errors;
    this.runsLoginShell = errors !== null;
  }

  run(script: string): Promise<ShellProcess> {
    const end = Promise.withResolvers<number>();
    let killed = false;
    const said = async function* (answer: Answer): AsyncGenerator<Uint8Array> {
      if (typeof answer === "string") yield Buffer.from(answer);
      else if (answer instanceof Uint8Array) yield answer;
      else
        for await (const chunk of answer) {
          if (killed) break;
          yield chunk;
        }
    };
    const stdout = (async function* (answer: Answer): AsyncGenerator<Uint8Array> {
      yield* said(answer);
      end.resolve(0);
    })(this.#answer(script));
    const process: ShellProcess = {
      stdout,
      stderr: this.#errors === null ? nothing() : said(this.#errors),
      collectStderr: async () => "",
      write: async () => undefined,
      closeInput: () => undefined,
      exited: end.promise,
      kill: () => {
        killed = true;
        end.resolve(137);
      },
    };
    this.processes.push(process);
    return Promise.resolve(process);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(0);
}
