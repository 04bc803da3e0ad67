/**
 * A machine reached by SSH as a place to run scripts. Each run is one channel that executes READER_COMMAND; the
 * script and its input go in by standard input. The exit status comes from SSH's own message, never from absence.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import type { ClientChannel } from "ssh2";
import { type Problem, problem } from "../../core/problem.ts";
import { type MachineShell, MachineShellError, type ShellProcess, type ShellRunOptions } from "../machine-shell.ts";
import { ByteOutput } from "./byte-output.ts";
import { collectText } from "./collect-text.ts";
import type { LeasedChannel, SshConnection } from "./connection.ts";
import { READER_COMMAND, scriptLine } from "./script-line.ts";

export interface SshMachineShellOptions {
  readonly machine: string;
  readonly connection: SshConnection;
  readonly startTimeoutMs: number;
}

const KILLED_STATUS = 128 + constants.signals.SIGKILL;

export class SshMachineShell implements MachineShell {
  readonly machine: string;
  readonly runsLoginShell = true;
  readonly #options: SshMachineShellOptions;

  constructor(options: SshMachineShellOptions) {
    this.machine = options.machine;
    this.#options = options;
  }

  async run(script: string, options: ShellRunOptions = {}): Promise<ShellProcess> {
    const { line, sentinel } = scriptLine(script, randomBytes(16).toString("hex"));
    const leased = await this.#options.connection.exec(READER_COMMAND);
    const process = new SshProcess(leased, sentinel);
    process.send(line);
    await process.begun(this.#options.startTimeoutMs);
    // Only now: what follows may be of value, and must not become input of some other program.
    if (options.input !== undefined) process.send(options.input);
    if (options.keepInputOpen !== true) process.closeInput();
    return process;
  }
}

class SshProcess implements ShellProcess {
  readonly stdout: ByteOutput;
  readonly stderr: ByteOutput;
  readonly exited: Promise<number>;
  readonly #channel: ClientChannel;
  readonly #link: LeasedChannel["link"];
  readonly #release: () => void;
  readonly #exit = Promise.withResolvers<number>();
  #isOver = false;

  constructor({ channel, link, release }: LeasedChannel, sentinel: Buffer) {
    this.#channel = channel;
    this.#link = link;
    this.#release = release;
    this.stdout = new ByteOutput(channel, sentinel);
    this.stderr = new ByteOutput(channel.stderr, sentinel);
    this.exited = this.#exit.promise;
    this.exited.catch(() => {
      // Whoever awaits it is told; nobody need.
    });
    const takeBack = link.onDeath((reason) => this.#fail(reason));
    channel.once("exit", (status: number | null, signal?: string) => {
      this.#over();
      this.#exit.resolve(status ?? 128 + signalNumber(signal));
    });
    channel.once("close", () => {
      takeBack();
      this.#over();
      this.#exit.reject(
        new MachineShellError(problem("transfer-cut", { ...this.#place(), message: "the channel was closed without an exit status" })),
      );
    });
    channel.on("error", () => {
      // ssh2 reports the end of a channel by "close"; an error here would only repeat it.
    });
  }

  /** Writes without waiting; what is not delivered because the script ended is nobody's loss. */
  send(bytes: Uint8Array | string): void {
    if (!this.#isOver) this.#channel.write(bytes);
  }

  async begun(timeoutMs: number): Promise<void> {
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(() => timeout.reject(new Error(`it began none within ${timeoutMs / 1_000} s`)), timeoutMs);
    try {
      await Promise.race([Promise.all([this.stdout.begun, this.stderr.begun]), timeout.promise]);
    } catch (error) {
      this.kill();
      this.stdout.discard();
      this.stderr.discard();
      if (error instanceof MachineShellError) throw error;
      const said = [this.stdout.noise, this.stderr.noise].filter((text) => text !== "").join(" / ");
      throw new MachineShellError(problem("shell-unusable", { ...this.#place(), message: messageOf(error), said }));
    } finally {
      clearTimeout(timer);
    }
  }

  collectStderr(bytesMax: number): Promise<string> {
    return collectText(this.stderr, bytesMax);
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.#link.dead !== null) throw new MachineShellError(this.#link.dead);
    if (this.#isOver) return;
    const written = Promise.withResolvers<void>();
    this.#channel.write(bytes, () => written.resolve());
    // ssh2 forgets the callback of a write whose channel ends meanwhile.
    void this.exited.then(
      () => written.resolve(),
      (error: unknown) => (this.#link.dead === null ? written.resolve() : written.reject(error)),
    );
    await written.promise;
  }

  closeInput(): void {
    if (!this.#isOver) this.#channel.end();
  }

  kill(): void {
    if (this.#link.dead !== null) return;
    // sshd passes the signal to the process group, but not for root; else the script sees its pipes close.
    if (!this.#isOver) this.#channel.signal("KILL");
    this.#channel.close();
    // The machine confirms the end of the channel only with the end of the process: nobody here waits for that.
    this.#over();
    this.#exit.resolve(KILLED_STATUS);
    this.stdout.end();
    this.stderr.end();
    this.#release();
  }

  #over(): void {
    this.#isOver = true;
  }

  #fail(reason: Problem): void {
    this.#over();
    const error = new MachineShellError(reason);
    this.stdout.fail(error);
    this.stderr.fail(error);
    this.#exit.reject(error);
  }

  #place(): Record<string, string> {
    const { machine, hostName, port, user } = this.#link.target;
    return { machine, host: hostName, port: String(port), user };
  }
}

function signalNumber(name: string | undefined): number {
  const found = Object.entries(constants.signals).find(([signal]) => signal === name);
  return found?.[1] ?? 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
