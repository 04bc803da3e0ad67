/** Events as msgpack. Plain maps only; the CRC of the record vouches for the content, this for its kind. */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import type { Event, EventKind } from "../../core/event.ts";

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false });

/** Written out so that a new kind of event does not compile before it is known here. */
const KINDS: Readonly<Record<EventKind, true>> = {
  "machines-added": true,
  "machine-moved": true,
  "machine-removed": true,
  "machine-quarantined": true,
  "machine-unreachable": true,
  "machine-recovered": true,
  "variable-set": true,
  "variable-removed": true,
  "jobs-added": true,
  "matrix-added": true,
  "tag-added": true,
  "job-tagged": true,
  "job-timeout-set": true,
  "line-set": true,
  "job-held": true,
  "job-unheld": true,
  "job-due": true,
  "job-starting": true,
  "job-host-known": true,
  "job-started": true,
  "job-not-started": true,
  "job-stop-requested": true,
  "job-advanced": true,
  "job-copying": true,
  "job-done": true,
  "job-failed": true,
  "job-canceled": true,
  "job-lost": true,
  "job-found": true,
  "job-forgotten": true,
  "job-recalled": true,
  "job-results-changed": true,
  "job-logs-moved": true,
  "jobs-archived": true,
  "request-answered": true,
};

export function encodeEvents(events: readonly Event[]): Buffer {
  // The packer reuses its buffer; what it returns is kept until it is written.
  return Buffer.from(packr.pack(events));
}

export type EventsReading =
  | { readonly kind: "events"; readonly events: readonly Event[] }
  /** An event that only a newer release can have written. */
  | { readonly kind: "unknown-event"; readonly name: string }
  | { readonly kind: "bad" };

export function decodeEvents(payload: Buffer): EventsReading {
  let content: unknown;
  try {
    content = unpackr.unpack(payload);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { kind: "bad" };
  }
  if (!Array.isArray(content)) return { kind: "bad" };
  for (const event of content) {
    const name: unknown = typeof event === "object" && event !== null && "kind" in event ? event.kind : null;
    if (typeof name !== "string") return { kind: "bad" };
    if (!Object.hasOwn(KINDS, name)) return { kind: "unknown-event", name };
  }
  return { kind: "events", events: content as readonly Event[] };
}
