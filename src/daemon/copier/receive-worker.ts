/**
 * A thread that hashes and writes what a copy receives, so that the thread with the connections and the requests does
 * neither: half of a transfer's processor time runs beside the other half. The bytes come in memory that both share,
 * slot by slot. It answers each message with one; ReceivingThread (receive-thread.ts) is its other side.
 */
import { FilesWriter, type FileToWrite, WriteFailure } from "./files-writer.ts";

export type ToWorker =
  | { readonly kind: "slots"; readonly slots: readonly Uint8Array[] }
  | { readonly kind: "files"; readonly files: readonly FileToWrite[] }
  | { readonly kind: "bytes"; readonly slot: number; readonly length: number }
  /** `isWhole`: the stream came to its end, so that empty files at its end are complete. */
  | { readonly kind: "end"; readonly isWhole: boolean };

export type FromWorker =
  /** The slot is free again; the hashes are of the files that it completed, in their order. */
  | { readonly kind: "written"; readonly slot: number; readonly hashes: readonly string[] }
  | { readonly kind: "ended"; readonly hashes: readonly string[] }
  | { readonly kind: "failed"; readonly path: string; readonly message: string };

declare const self: Worker;

const writer = new FilesWriter();
let slots: readonly Uint8Array[] = [];

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  // In their order: only the last message is answered later, and nothing follows it.
  handle(data).then(
    (answer) => {
      if (answer !== null) self.postMessage(answer);
    },
    (error: unknown) => {
      const path = error instanceof WriteFailure ? error.path : "";
      self.postMessage({ kind: "failed", path, message: error instanceof Error ? error.message : String(error) } satisfies FromWorker);
    },
  );
};

async function handle(message: ToWorker): Promise<FromWorker | null> {
  switch (message.kind) {
    case "slots":
      slots = message.slots;
      return null;
    case "files":
      writer.add(message.files);
      return null;
    case "bytes":
      return { kind: "written", slot: message.slot, hashes: written(slots[message.slot]?.subarray(0, message.length)) };
    case "end": {
      const hashes = message.isWhole ? emptyFiles() : [];
      await writer.close();
      return { kind: "ended", hashes };
    }
  }
}

function written(bytes: Uint8Array = new Uint8Array()): string[] {
  const hashes: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const taken = writer.take(bytes, at);
    if (taken.sha256 !== null) hashes.push(taken.sha256);
    at += taken.bytes;
  }
  return hashes;
}

function emptyFiles(): string[] {
  const hashes: string[] = [];
  for (let sha256 = writer.takeEmpty(); sha256 !== null; sha256 = writer.takeEmpty()) hashes.push(sha256);
  return hashes;
}
