/**
 * Owns the two questions to a machine: what lies under the prefixes (names, kinds, sizes), and the sha256 of
 * the files. They are separate commands, so that hashing there runs beside the transfer, not before it.
 */
import { problem } from "../../core/problem.ts";
import type { MachineShell } from "../machine-shell.ts";
import { CopyProblem, damagedAnswer, resultsChanged } from "./copy-problem.ts";
import type { CopyLimits } from "./limits.ts";
import { type ListedFile, type Listing, ListingParser, type SplitPrefix } from "./listing.ts";
import { encodeWord, HASH_SCRIPT, LIST_SCRIPT } from "./scripts.ts";
import { TimeSlice } from "./time-slice.ts";
import { WatchedCommand } from "./watched-command.ts";

/** Where a copy reads, and what bounds it. */
export interface Source {
  readonly shell: MachineShell;
  readonly prefixes: readonly SplitPrefix[];
  /** Where a relative prefix starts; empty: the login home. */
  readonly startDirectory: string;
  readonly limits: CopyLimits;
  readonly signal: AbortSignal;
}

/** @throws {CopyProblem} */
export async function listResults(source: Source): Promise<Listing> {
  const { shell, prefixes, limits, signal } = source;
  const input = Buffer.from(listingInput(source));
  const command = await WatchedCommand.start({ shell, script: LIST_SCRIPT, input, signal, stallMs: limits.stallMs });
  const parser = new ListingParser({ machine: shell.machine, prefixes, limits });
  const slice = new TimeSlice();
  try {
    for await (const chunk of command.output()) {
      parser.feed(chunk);
      if (slice.over) await slice.pause();
    }
  } catch (error) {
    command.kill();
    throw error;
  }
  const message = await requireSuccess(command, shell.machine);
  return parser.end(message);
}

/** What LIST_SCRIPT reads. */
export function listingInput({ startDirectory, prefixes }: Source): string {
  const lines = [startDirectory, ...prefixes.flatMap((prefix) => [prefix.folder, prefix.rest])];
  return lines.map((line) => `${encodeWord(line)}\n`).join("");
}

/**
 * Asks for the sha256 of `files` and hands each over as it comes, in their order.
 * @throws {CopyProblem} checksum-tool-missing, results-unreadable or results-changed naming the file
 */
export async function hashOnMachine(
  source: Source,
  files: readonly ListedFile[],
  onHash: (file: ListedFile, sha256: string) => void,
): Promise<void> {
  if (files.length === 0) return;
  const { shell, limits, signal } = source;
  const parser = new HashParser({ machine: shell.machine, files, onHash });
  const command = await WatchedCommand.start({
    shell,
    script: HASH_SCRIPT,
    input: Buffer.from(`${encodeWord(source.startDirectory)}\n${files.map((file) => `${file.source}\0`).join("")}`),
    signal,
    stallMs: limits.stallMs,
    patienceMs: () => (parser.bytesLeft / limits.hashBytesPerSecondMin) * 1000,
  });
  try {
    for await (const chunk of command.output()) parser.feed(chunk);
  } catch (error) {
    command.kill();
    throw error;
  }
  await requireSuccess(command, shell.machine);
  parser.end();
}

/** Takes the answer of HASH_SCRIPT; every line must be one of the few that it can say. */
export class HashParser {
  readonly #machine: string;
  readonly #files: readonly ListedFile[];
  readonly #onHash: (file: ListedFile, sha256: string) => void;
  #text = "";
  #index = 0;
  #ended = false;
  bytesLeft: number;

  constructor(options: { machine: string; files: readonly ListedFile[]; onHash: (file: ListedFile, sha256: string) => void }) {
    this.#machine = options.machine;
    this.#files = options.files;
    this.#onHash = options.onHash;
    this.bytesLeft = options.files.reduce((sum, file) => sum + file.bytes, 0);
  }

  /** All hashes have come, and the word that ends them. */
  get isEnded(): boolean {
    return this.#ended && this.#text === "";
  }

  /** @throws {CopyProblem} */
  feed(chunk: Uint8Array): void {
    const lines = (this.#text + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1")).split("\n");
    this.#text = lines.pop() ?? "";
    if (this.#text.length > 64) throw damagedAnswer(this.#machine, "a checksum of another length");
    for (const line of lines) this.#line(line);
  }

  /** @throws {CopyProblem} when the answer stopped before its end */
  end(): void {
    if (!this.#ended || this.#text !== "") throw damagedAnswer(this.#machine, "checksums are missing");
  }

  #line(line: string): void {
    if (this.#ended) throw damagedAnswer(this.#machine, "something follows the checksums");
    const file = this.#files[this.#index];
    if (line === "none" && this.#index === 0) throw new CopyProblem(problem("checksum-tool-missing", { machine: this.#machine }), "never");
    if (line === "end") {
      if (file !== undefined) throw damagedAnswer(this.#machine, "checksums are missing");
      this.#ended = true;
      return;
    }
    if (file === undefined) throw damagedAnswer(this.#machine, "more checksums than files");
    if (line === "!") throw resultsChanged(this.#machine, file.source);
    if (line === "-") throw new CopyProblem(problem("results-unreadable", { machine: this.#machine, path: file.source }), "never");
    if (!/^[0-9a-f]{64}$/.test(line)) throw damagedAnswer(this.#machine, "a checksum of another form");
    this.#index += 1;
    this.bytesLeft -= file.bytes;
    this.#onHash(file, line);
  }
}

/** What the tools said on standard error; the scripts themselves end with 0 whatever a tool met. */
async function requireSuccess(command: WatchedCommand, machine: string): Promise<string> {
  const { status, message } = await command.end();
  if (status === 0) return message;
  const text = message === "" ? `status ${status}` : message;
  throw new CopyProblem(problem("results-unreadable", { machine, path: "", message: text }), "changed");
}
