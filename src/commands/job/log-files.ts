/** Logs as files on this host: as they are, compressed, or fetched from the server's host into a folder of their own. */
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Client } from "../../client/client.ts";
import { RequestError } from "../../protocol/error.ts";
import { Failure } from "../failure.ts";

/** What the server puts after the name of a log that it has compressed. */
const COMPRESSED_SUFFIX = ".gz";

/** The path under which a log is on this host: its own, or that of its compressed form. null: neither is. */
export function presentPath(path: string): string | null {
  return [path, `${path}${COMPRESSED_SUFFIX}`].find((candidate) => existsSync(candidate)) ?? null;
}

export function isCompressed(path: string): boolean {
  return path.endsWith(COMPRESSED_SUFFIX);
}

export interface WantedLog {
  readonly jid: number;
  readonly stream: "stdout" | "stderr";
  /** On the server's host. */
  readonly path: string;
}

/** Copies of logs that grow as the logs do, until they are closed; then nothing is left of them. */
export class FetchedLogs implements Disposable {
  readonly #client: Client;
  readonly #cancels: (() => void)[] = [];
  #folder: string | null = null;
  #failure: unknown = null;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Resolves with the path of the copy when it holds what the log held when it was asked for. */
  async fetch({ jid, stream, path }: WantedLog): Promise<string> {
    const file = this.#place(path);
    const { bytes: bytesNow } = await this.#client.call("job.log-size", { jid, stream });
    const follow = this.#client.stream("job.follow", { jid, stream, tail_bytes: null });
    this.#cancels.push(() => follow.cancel());
    const ready = Promise.withResolvers<void>();
    const descriptor = openSync(file, "wx", 0o600);
    const copy = async (): Promise<void> => {
      let bytes = 0;
      const isReady = (): boolean => bytesNow !== null && bytes >= bytesNow;
      if (isReady()) ready.resolve();
      for await (const piece of follow) {
        writeAll(descriptor, piece, file);
        bytes += piece.length;
        if (isReady()) ready.resolve();
      }
    };
    copy()
      .catch((error: unknown) => {
        if (!(error instanceof RequestError && error.code === "canceled")) this.#failure ??= error;
      })
      .finally(() => {
        closeSync(descriptor);
        if (this.#failure === null) ready.resolve();
        else ready.reject(this.#failure);
      });
    await ready.promise;
    return file;
  }

  /** @throws what ended a copy before its log had ended */
  requireComplete(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#cancels) cancel();
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
  }
  /** Under its own name, by which the pager calls it; each in a folder of its own. */
  #place(path: string): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), "expjobserver-log-"));
    const folder = join(this.#folder, String(this.#cancels.length));
    mkdirSync(folder);
    return join(folder, basename(path) || "log");
  }
}

function writeAll(descriptor: number, bytes: Uint8Array, path: string): void {
  try {
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(descriptor, bytes, offset);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Failure(
      "log-not-fetched",
      `The log cannot be copied to ${path}: ${code}.`,
      "Free some space, or set TMPDIR to another folder.",
    );
  }
}
