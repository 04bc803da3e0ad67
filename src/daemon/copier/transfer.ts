/**
 * Owns getting all that is listed into the temporary folder, proved by sha256: one stream for all files while
 * the machine hashes them beside it; when the connection dies, again from where it stopped; when a file changed
 * under us, once more from a new listing. What is complete and proved is never fetched twice.
 */
import { readdirSync, rmSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { problem } from "../../core/problem.ts";
import { CopyProblem, canceled, resultsChanged } from "./copy-problem.ts";
import { type Incoming, look, shapeTree } from "./incoming.ts";
import type { ListedFile, Listing } from "./listing.ts";
import { hashBeginning } from "./local-hash.ts";
import { hashOnMachine, listResults, type Source } from "./manifest.ts";
import { type FileToReceive, receiveFiles } from "./receive.ts";
import { encodeWord, STREAM_SCRIPT } from "./scripts.ts";
import { TimeSlice } from "./time-slice.ts";
import { Visit } from "./visit.ts";
import { WatchedCommand } from "./watched-command.ts";

export interface FetchedFile {
  /** Relative to CP_PATH, and to the tree of the temporary folder. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Fetched {
  readonly listing: Listing;
  readonly files: readonly FetchedFile[];
}

/** So often may what an earlier copy left prove wrong, and be fetched anew, before it counts as a change. */
const LEFTOVER_ROUNDS_MAX = 3;
/** A smaller rest of an interrupted file is fetched anew rather than hashed again. */
const RESUME_BYTES_MIN = 256 * 1024;

/** What is known of one file: the hash of our bytes, the hash that the machine gave, neither or both. */
interface Progress {
  readonly file: ListedFile;
  received: string | null;
  expected: string | null;
  /** Our bytes, or some of them, are from before this copy began. */
  isLeftover: boolean;
}

/** @throws {CopyProblem} */
export async function fetchResults(source: Source, incoming: Incoming): Promise<Fetched> {
  const fetch = new Fetch(source, incoming);
  const { limits, signal } = source;
  for (let attempt = 1, change = 0, leftoverRounds = 0; ; ) {
    try {
      const fetched = await fetch.round(leftoverRounds < LEFTOVER_ROUNDS_MAX);
      if (fetched !== null) return fetched;
      leftoverRounds += 1;
    } catch (error) {
      if (!(error instanceof CopyProblem) || signal.aborted) throw signal.aborted ? canceled() : error;
      if (error.remedy === "transport" && attempt < limits.attemptsMax) {
        await pause(limits.retryDelayMs * attempt, signal);
        attempt += 1;
      } else if (error.remedy === "changed" && change === 0) change = 1;
      else throw error;
    }
  }
}

class Fetch {
  readonly #source: Source;
  readonly #incoming: Incoming;
  #progress = new Map<string, Progress>();

  constructor(source: Source, incoming: Incoming) {
    this.#source = source;
    this.#incoming = incoming;
  }

  /**
   * One listing and what it still asks for.
   * @param mayForgive null is returned when nothing but leftovers proved wrong; they are gone then
   * @throws {CopyProblem}
   */
  async round(mayForgive: boolean): Promise<Fetched | null> {
    const visit = this.#mayVisit() ? await Visit.begin(this.#source) : null;
    let listing: Listing;
    try {
      listing = visit?.listing ?? (await listResults(this.#source));
      this.#keepWhatIsUnchanged(listing);
      await shapeTree(this.#incoming, listing);
      const resumed = await this.#takeUpLeftovers();
      await this.#requireSpace(resumed?.bytes ?? 0);
      // A visit asks for all that it listed, once each.
      const isPlain = listing.twins.length === 0 && listing.files.length > 0;
      if (!isPlain) visit?.leave();
      await this.#transfer(listing, resumed, isPlain ? visit : null).catch(async (error: unknown) => {
        if (error instanceof CopyProblem && error.remedy === "changed") await this.#forgetUnproved();
        throw error;
      });
    } finally {
      visit?.leave();
    }
    const wrong = [...this.#progress.values()].filter(differs);
    const first = wrong[0];
    if (first === undefined) return { listing, files: this.#fetchedFiles() };
    const isForgiven = mayForgive && wrong.every((progress) => progress.isLeftover);
    await this.#forgetUnproved();
    if (isForgiven) return null;
    throw resultsChanged(this.#source.shell.machine, first.file.source);
  }

  /** Nothing is here yet, so that all that is listed is asked for. */
  #mayVisit(): boolean {
    return this.#source.shell.runsLoginShell === true && this.#progress.size === 0 && readdirSync(this.#incoming.tree).length === 0;
  }

  #keepWhatIsUnchanged(listing: Listing): void {
    const before = this.#progress;
    this.#progress = new Map(
      listing.files.map((file) => {
        const known = before.get(file.target);
        const unchanged = known?.file.bytes === file.bytes && known.file.source === file.source;
        return [file.target, unchanged ? known : { file, received: null, expected: null, isLeftover: false }];
      }),
    );
  }

  async #requireSpace(bytesHere: number): Promise<void> {
    let wanted = -bytesHere;
    for (const { file, received } of this.#progress.values()) if (received === null) wanted += file.bytes;
    const space = await statfs(this.#incoming.root);
    const free = space.bavail * space.bsize;
    if (wanted > free) {
      const message = `no space left on device: ${wanted} bytes are needed, ${free} are free`;
      throw new CopyProblem(problem("target-unwritable", { path: this.#incoming.root, message }), "target");
    }
  }

  /** Files that are here in full are hashed; of the others, the one that a stream can begin with is returned: it is hashed there. */
  async #takeUpLeftovers(): Promise<Resumed | null> {
    let resumed: Resumed | null = null;
    const slice = new TimeSlice();
    for (const progress of this.#progress.values()) {
      if (progress.received !== null) continue;
      if (slice.over) await slice.pause();
      const path = this.#pathOf(progress.file);
      const found = look(path);
      if (found === null || !found.isFile() || found.nlink !== 1 || found.size > progress.file.bytes || found.size === 0) continue;
      const isComplete = found.size === progress.file.bytes;
      if (!isComplete && (resumed !== null || found.size < RESUME_BYTES_MIN)) continue;
      if (isComplete) {
        const hasher = await hashBeginning(path, found.size);
        if (hasher === null) continue;
        progress.received = hasher.digest("hex");
      } else resumed = { progress, bytes: found.size };
      progress.isLeftover = true;
      if (this.#source.signal.aborted) throw canceled();
    }
    return resumed;
  }

  async #transfer(listing: Listing, resumed: Resumed | null, visit: Visit | null): Promise<void> {
    const missing = [...this.#progress.values()].filter((progress) => progress.received === null && progress !== resumed?.progress);
    if (resumed !== null) missing.unshift(resumed.progress);
    const unknown = [...this.#progress.values()].filter((progress) => progress.expected === null).map((progress) => progress.file);
    if (this.#source.signal.aborted) throw canceled();
    const both = new AbortController();
    const stop = (): void => both.abort();
    this.#source.signal.addEventListener("abort", stop, { once: true });
    const source = { ...this.#source, signal: both.signal };
    let streamError: unknown = null;
    let hashError: unknown = null;
    try {
      await Promise.all([
        this.#stream(source, missing, { resumed, visit, stop }).catch((error: unknown) => {
          streamError = error;
          // A stream that is too short does not tell which file shrank; the hashes do, where they come by themselves.
          if (visit !== null || !(error instanceof CopyProblem && error.remedy === "changed")) stop();
        }),
        this.#hash(source, [...unknown, ...listing.twins], { visit, stop }).catch((error: unknown) => {
          hashError = error;
          stop();
        }),
      ]);
    } finally {
      this.#source.signal.removeEventListener("abort", stop);
    }
    // A file that differs ended both early: the round names it, not the commands that were canceled for it.
    if (this.#hasDifference()) return;
    if (hashError !== null && !(streamError !== null && isCanceled(hashError))) throw hashError;
    if (streamError !== null) throw streamError;
  }

  async #stream(source: Source, missing: readonly Progress[], how: How & { readonly resumed: Resumed | null }): Promise<void> {
    if (missing.length === 0) return;
    const { resumed, visit, stop } = how;
    const { shell, signal, limits } = source;
    const first = resumed === null ? "0 " : `${resumed.bytes + 1} ${encodeWord(resumed.progress.file.source)}`;
    const names = missing.slice(resumed === null ? 0 : 1).map((progress) => `${progress.file.source}\0`);
    const input = Buffer.from(`${encodeWord(source.startDirectory)}\n${first}\n${names.join("")}`);
    const command =
      visit?.stream(source) ?? (await WatchedCommand.start({ shell, script: STREAM_SCRIPT, input, signal, stallMs: limits.stallMs }));
    try {
      const count = await receiveFiles({
        machine: shell.machine,
        stream: command.output(),
        files: missing.map((progress) => this.#toReceive(progress, resumed)),
        onReceived: (index, sha256) => {
          const progress = missing[index];
          if (progress === undefined) return;
          progress.received = sha256;
          if (differs(progress)) stop();
        },
      });
      const cut = missing[count];
      if (cut === undefined) return;
      // A dead connection says so in end(); a command that ended by itself had nothing more to send.
      await command.end();
      throw resultsChanged(shell.machine, cut.file.source);
    } finally {
      // Of a visit the hashes may still be under way.
      if (visit === null) command.kill();
      else command.stop();
    }
  }

  async #hash(source: Source, files: readonly ListedFile[], { visit, stop }: How): Promise<void> {
    const onHash = (file: ListedFile, sha256: string): void => {
      const progress = this.#progress.get(file.target);
      if (progress === undefined) return;
      if (progress.file.source !== file.source) {
        // A twin: it comes after all others, so what it must equal is known.
        if (progress.expected === sha256) return;
        throw new CopyProblem(
          problem("results-unsafe-name", {
            path: file.source,
            reason: `${progress.file.source} is another file that would have the same name`,
          }),
          "never",
        );
      }
      progress.expected = sha256;
      if (differs(progress)) stop();
    };
    if (visit === null) await hashOnMachine(source, files, onHash);
    else await visit.hash(source, onHash);
  }

  #fetchedFiles(): FetchedFile[] {
    const files: FetchedFile[] = [];
    for (const { file, received, expected } of this.#progress.values()) {
      if (received === null || received !== expected) throw resultsChanged(this.#source.shell.machine, file.source);
      files.push({ path: file.target, bytes: file.bytes, sha256: received });
    }
    return files;
  }

  /** What follows a changed file in a stream was cut at the wrong places: nothing without proof is kept. */
  async #forgetUnproved(): Promise<void> {
    const slice = new TimeSlice();
    for (const progress of this.#progress.values()) {
      if (progress.received !== null && progress.received === progress.expected) continue;
      if (slice.over) await slice.pause();
      this.#progress.delete(progress.file.target);
      rmSync(this.#pathOf(progress.file), { force: true });
    }
  }

  #hasDifference(): boolean {
    for (const progress of this.#progress.values()) if (differs(progress)) return true;
    return false;
  }

  #toReceive(progress: Progress, resumed: Resumed | null): FileToReceive {
    const { source, bytes } = progress.file;
    const resumeBytes = resumed?.progress === progress ? resumed.bytes : 0;
    return { source, path: this.#pathOf(progress.file), bytes, resumeBytes, umask: this.#incoming.umask };
  }

  #pathOf(file: ListedFile): string {
    return join(this.#incoming.tree, file.target);
  }
}

interface How {
  /** All in one command; null: one for each question. */
  readonly visit: Visit | null;
  /** Ends the other half as well. */
  readonly stop: () => void;
}

interface Resumed {
  readonly progress: Progress;
  readonly bytes: number;
}

function isCanceled(error: unknown): boolean {
  return error instanceof CopyProblem && error.problem.code === "canceled";
}

function differs(progress: Progress): boolean {
  return progress.received !== null && progress.expected !== null && progress.received !== progress.expected;
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done, { once: true });
  });
  if (signal.aborted) throw canceled();
}
