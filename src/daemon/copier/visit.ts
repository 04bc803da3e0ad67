/**
 * Owns a copy as one command on the machine (VISIT_SCRIPT), for machines where each command costs a login shell: it
 * lists, waits until the listing has been looked at, then sends all files on its output and their hashes on the
 * other. Both halves are watched as commands of their own. What is not plain (leftovers, twins, a second try) is not
 * its business: it is left, and the questions are asked one by one.
 */
import type { ShellProcess } from "../machine-shell.ts";
import { canceled } from "./copy-problem.ts";
import { type ListedFile, type Listing, ListingParser } from "./listing.ts";
import { HashParser, listingInput, type Source } from "./manifest.ts";
import { VISIT_SCRIPT } from "./scripts.ts";
import { TimeSlice } from "./time-slice.ts";
import { startInTime, WatchedCommand } from "./watched-command.ts";

const NO_INPUT = new Uint8Array();
/** Keeps the input of the command open. */
const KEEP = (): void => {
  // The names come later.
};

export class Visit {
  readonly listing: Listing;
  readonly #process: ShellProcess;
  readonly #output: AsyncIterator<Uint8Array>;
  /** Bytes of files that have not come yet; when there are none, the end waits only for the hashes. */
  #bytesToCome: number;
  #isOutputOver = false;
  #bytesToHash: number;
  #isKilled = false;

  /** @returns null when the machine could not read all: it has to be asked again for its reason. @throws {CopyProblem} */
  static async begin(source: Source): Promise<Visit | null> {
    const { shell, prefixes, limits, signal } = source;
    const { stallMs } = limits;
    const process = await startInTime({ shell, script: VISIT_SCRIPT, signal, stallMs });
    const output = process.stdout[Symbol.asyncIterator]();
    const input = Buffer.from(`${listingInput(source)}.\n`);
    const command = new WatchedCommand({ shell, input, signal, stallMs }, part(process, { stdout: shared(output), closeInput: KEEP }));
    const parser = new ListingParser({ machine: shell.machine, prefixes, limits });
    const slice = new TimeSlice();
    try {
      for await (const chunk of command.output()) {
        parser.feed(chunk);
        if (parser.isEnded) break;
        if (slice.over) await slice.pause();
      }
      if (!parser.isEnded) await command.end();
      if (parser.isEnded && !parser.isComplete) {
        process.kill();
        return null;
      }
      return new Visit(process, output, parser.end(""));
    } catch (error) {
      command.kill();
      throw error;
    }
  }

  private constructor(process: ShellProcess, output: AsyncIterator<Uint8Array>, listing: Listing) {
    this.#process = process;
    this.#output = output;
    this.listing = listing;
    this.#bytesToCome = listing.files.reduce((sum, file) => sum + file.bytes, 0);
    this.#bytesToHash = this.#bytesToCome;
  }

  /** Asks for all files; they come in the order of the listing. Its `kill` ends the hashes too. */
  stream({ shell, limits, signal }: Source): WatchedCommand {
    const input = Buffer.from(`all\n${this.listing.files.map((file) => `${file.source}\0`).join("")}`);
    const patienceMs = (): number => (this.#bytesToCome > 0 && !this.#isOutputOver ? 0 : this.#hashingMs(limits.hashBytesPerSecondMin));
    const stdout = counted(this.#output, (bytes) => {
      if (bytes === null) this.#isOutputOver = true;
      else this.#bytesToCome -= bytes;
    });
    return new WatchedCommand(
      { shell, input, signal, stallMs: limits.stallMs, patienceMs },
      part(this.#process, { stdout, kill: () => this.leave() }),
    );
  }

  /** Hands over the hash of each file as it comes, in their order. @throws {CopyProblem} as `hashOnMachine` does */
  async hash({ shell, limits, signal }: Source, onHash: (file: ListedFile, sha256: string) => void): Promise<void> {
    const parser = new HashParser({ machine: shell.machine, files: this.listing.files, onHash });
    const patienceMs = (): number => {
      this.#bytesToHash = parser.bytesLeft;
      return this.#hashingMs(limits.hashBytesPerSecondMin);
    };
    const half = part(this.#process, { stdout: this.#process.stderr, closeInput: KEEP });
    const command = new WatchedCommand({ shell, input: NO_INPUT, signal, stallMs: limits.stallMs, patienceMs }, half);
    for await (const chunk of command.output()) {
      parser.feed(chunk);
      this.#bytesToHash = parser.bytesLeft;
      if (parser.isEnded) break;
    }
    if (parser.isEnded) return;
    // The other half has ended the command, and says why.
    if (this.#isKilled) throw canceled();
    await command.end();
    parser.end();
  }

  /** Ends the command. Harmless when it has ended. */
  leave(): void {
    this.#isKilled = true;
    this.#process.kill();
  }

  #hashingMs(bytesPerSecondMin: number): number {
    return (this.#bytesToHash / bytesPerSecondMin) * 1000;
  }
}

/** One half of a command, as if it were one. What is said on the other output is not its business. */
function part(process: ShellProcess, changes: Partial<ShellProcess>): ShellProcess {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    collectStderr: () => Promise.resolve(""),
    write: (bytes) => process.write(bytes),
    closeInput: () => process.closeInput(),
    exited: process.exited,
    kill: () => process.kill(),
    ...changes,
  };
}

/** Reading it stops without closing what it reads. */
function shared(output: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => output.next() }) };
}

function counted(output: AsyncIterator<Uint8Array>, count: (bytes: number | null) => void): AsyncIterable<Uint8Array> {
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    const result = await output.next();
    count(result.done === true ? null : result.value.length);
    return result;
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}
