/**
 * The two generations of the snapshot: `snapshot.toml`, and `snapshot.1.toml` before it. A new one is whole
 * and durable under its temporary name before the older generation gives way; between the two renames of a
 * crash only the older name is there, and the journal since then.
 */
import { existsSync, readFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { State } from "../../core/state.ts";
import { syncFolder } from "../durable-file.ts";
import type { StorePaths } from "../paths.ts";
import { asStoreError, StoreError, systemCode } from "../store-error.ts";
import { checkDocument, documentParts, judgeDocument, parseToml, writeDocument } from "./document.ts";
import { encodeState, SNAPSHOT_FORMAT, StateDecoder } from "./state-codec.ts";

/** Of a queue of some 20,000 jobs that differ. */
const LARGE_BYTES = 4 * 1_048_576;

export interface Snapshot {
  readonly state: State;
  readonly sequence: number;
}

export type SnapshotReading =
  | { readonly kind: "missing" }
  | { readonly kind: "good"; readonly snapshot: Snapshot }
  | { readonly kind: "bad"; readonly offset: number; readonly reason: string };

/** @throws StoreError "newer-format", whatever else is there: an older release must not go on from older files */
export function readSnapshot(file: string): SnapshotReading {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return { kind: "missing" };
    throw asStoreError(error, file);
  }
  const document = judgeDocument(bytes, SNAPSHOT_FORMAT);
  switch (document.kind) {
    case "bad":
      return document;
    case "newer":
      throw new StoreError("newer-format", { file, format: document.format });
    case "whole": {
      const { end, footer } = document;
      const decoder = new StateDecoder();
      for (const text of documentParts(bytes, end, "specs")) {
        const content = parseToml(text);
        if (content.kind === "bad") return content;
        const reason = decoder.take(content.tables);
        if (reason !== null) return { kind: "bad", offset: 0, reason };
      }
      const reading = decoder.finish(footer);
      if (reading.kind === "bad") return { kind: "bad", offset: 0, reason: reading.reason };
      // What decoding left is as much again as the state; nobody is served yet whom a collection could hold up.
      if (bytes.length > LARGE_BYTES) Bun.gc(true);
      return { kind: "good", snapshot: { state: reading.state, sequence: footer.sequence } };
    }
  }
}

/**
 * Whether a snapshot that is not needed now could be read: its footer vouches for it, its content is not decoded.
 * @throws StoreError as readSnapshot does
 */
export function checkSnapshot(file: string): { readonly kind: "missing" | "whole" } | Extract<SnapshotReading, { readonly kind: "bad" }> {
  try {
    const reading = checkDocument(file, SNAPSHOT_FORMAT);
    if (reading.kind === "newer") throw new StoreError("newer-format", { file, format: reading.format });
    return reading;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return { kind: "missing" };
    throw asStoreError(error, file);
  }
}

/** Makes this the newest generation, and what was the newest the older one. */
export async function writeSnapshot(paths: StorePaths, snapshot: Snapshot): Promise<void> {
  const { state, sequence } = snapshot;
  await writeDocument(
    paths.snapshot,
    encodeState(state, sequence),
    () => ({ sequence, jobs: state.jobs.size }),
    async () => {
      if (!existsSync(paths.snapshot)) return;
      await rename(paths.snapshot, paths.olderSnapshot);
      await syncFolder(dirname(paths.snapshot));
    },
  );
}
