/**
 * This host as a machine: `/bin/sh` is spawned here, with the script by standard input as over SSH, so that one
 * contract holds for both. Nothing is written and no login shell is involved.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants, homedir } from "node:os";
import { problem } from "../core/problem.ts";
import { type MachineShell, MachineShellError, type ShellProcess, type ShellRunOptions } from "./machine-shell.ts";
import { ByteOutput } from "./ssh/byte-output.ts";
import { collectText } from "./ssh/collect-text.ts";
import { READER_SCRIPT, scriptLine } from "./ssh/script-line.ts";

export class LocalMachineShell implements MachineShell {
  constructor(readonly machine: string) {}

  async run(script: string, options: ShellRunOptions = {}): Promise<ShellProcess> {
    const { line, sentinel } = scriptLine(script, randomBytes(16).toString("hex"));
    // A session of its own, so that `kill` reaches all that the script started.
    const child = spawn("/bin/sh", ["-c", READER_SCRIPT], { cwd: homedir(), detached: true, stdio: ["pipe", "pipe", "pipe"] });
    const process = new LocalProcess(child, sentinel);
    process.send(line);
    if (options.input !== undefined) process.send(options.input);
    if (options.keepInputOpen !== true) process.closeInput();
    try {
      await Promise.all([process.stdout.begun, process.stderr.begun]);
    } catch (error) {
      const message = process.startError ?? (error instanceof Error ? error.message : String(error));
      throw new MachineShellError(problem("shell-unusable", { machine: this.machine, message }));
    }
    return process;
  }
}

class LocalProcess implements ShellProcess {
  readonly stdout: ByteOutput;
  readonly stderr: ByteOutput;
  readonly exited: Promise<number>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exit = Promise.withResolvers<number>();
  /** Why /bin/sh could not be started, when it could not. */
  startError: string | null = null;
  #isOver = false;

  constructor(child: ChildProcessWithoutNullStreams, sentinel: Buffer) {
    this.#child = child;
    this.stdout = new ByteOutput(child.stdout, sentinel);
    this.stderr = new ByteOutput(child.stderr, sentinel);
    this.exited = this.#exit.promise;
    child.once("exit", (status, signal) => {
      this.#isOver = true;
      this.#exit.resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
    child.once("error", (error) => {
      this.#isOver = true;
      this.startError = error.message;
      this.stdout.end();
      this.stderr.end();
      this.#exit.resolve(127);
    });
    child.stdin.on("error", () => {
      // EPIPE: the script ended or closed its input; `exited` tells how it went.
    });
  }

  send(bytes: Uint8Array | string): void {
    this.#child.stdin.write(bytes);
  }

  collectStderr(bytesMax: number): Promise<string> {
    return collectText(this.stderr, bytesMax);
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.#isOver || !this.#child.stdin.writable) return;
    const written = Promise.withResolvers<void>();
    this.#child.stdin.write(bytes, () => written.resolve());
    await Promise.race([written.promise, this.exited]);
  }

  closeInput(): void {
    this.#child.stdin.end();
  }

  kill(): void {
    const { pid } = this.#child;
    if (this.#isOver || pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      // It has ended in this moment; the exit is on its way.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
}
