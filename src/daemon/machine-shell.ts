/**
 * A machine as the copier, the probes and the ssh runner see it: a place where a constant POSIX sh
 * script can be run with bytes going in and bytes coming out. One implementation goes through SSH
 * (ssh/), one spawns `sh` on this host (local-shell.ts); both pass test/contract/machine-shell.ts.
 */
import type { Problem } from "../core/problem.ts";

export interface MachineShell {
  /** The address as added to the pool, for messages. */
  readonly machine: string;
  /** Each run begins with a login shell there, which may take its time: what can be one run should be. */
  readonly runsLoginShell?: boolean;
  /**
   * Starts `script` under `/bin/sh`. The script is a constant of ours: nothing is interpolated and it
   * never stands in an argument list on the machine; what varies follows on its standard input.
   * Whatever the login shell prints before the script begins is discarded.
   * @throws {MachineShellError} when the machine cannot be reached or refuses.
   */
  run(script: string, options?: ShellRunOptions): Promise<ShellProcess>;
}

export interface ShellRunOptions {
  /** Written to the script's standard input after it has begun; the input is then closed unless keepInputOpen. */
  readonly input?: Uint8Array | string;
  readonly keepInputOpen?: boolean;
}

export interface ShellProcess {
  /** Standard output, byte for byte, with backpressure: what is not read is not fetched. */
  readonly stdout: AsyncIterable<Uint8Array>;
  /** Standard error, likewise. It must be read or `discardStderr` called, or the script may stall. */
  readonly stderr: AsyncIterable<Uint8Array>;
  /** Keeps the first bytes of standard error and resolves with them at its end. */
  collectStderr(bytesMax: number): Promise<string>;
  /**
   * Resolves when the bytes are handed over, or when the script has ended and nobody wants them; more input is possible
   * only with keepInputOpen. Rejects with MachineShellError when the connection died.
   */
  write(bytes: Uint8Array | string): Promise<void>;
  closeInput(): void;
  /**
   * Exit status when it was reported, 128 and the number after a signal; a rejected MachineShellError when the
   * connection died first (`unreachable`: silent; `transfer-cut`: closed). The outputs then end with the same error.
   */
  readonly exited: Promise<number>;
  /**
   * Ends the channel or the process at once: both outputs end, `exited` is 137. Harmless when it has ended. On a machine
   * where the signal is not passed on (sshd, for root), a script that neither reads nor writes goes on.
   */
  kill(): void;
}

export class MachineShellError extends Error {
  override readonly name = "MachineShellError";
  constructor(readonly problem: Problem) {
    super(`${problem.code} ${JSON.stringify(problem.data)}`);
  }
}
