/** Keeps replies within the frames: rows go in chunks of some size, and what cannot fit is refused before it is built. */
import { RequestError } from "../../protocol/error.ts";
import { FRAME_BYTES_MAX } from "../../protocol/limits.ts";

const CHUNK_ROWS_MAX = 100;
const CHUNK_BYTES_MAX = 1_048_576;
/** Of one reply, as JSON: the envelope and the codec's own bytes have room beside it. */
export const REPLY_BYTES_MAX = FRAME_BYTES_MAX / 2;

/** Of a reply that is asked for page by page: a few megabytes at the most. */
export const PAGE_ROWS_MAX = 5_000;
/** So many rows are made at once; then others have their turn. */
const ROWS_PER_TURN = 500;

/** Waits after some of the rows. @param row its index */
export async function othersTurn(row: number): Promise<void> {
  if (row % ROWS_PER_TURN === ROWS_PER_TURN - 1) await new Promise((resolve) => setImmediate(resolve));
}

/** About what it takes in a frame. */
function bytesOf(row: unknown): number {
  return Buffer.byteLength(JSON.stringify(row));
}

/** Rows in order, each once, in chunks that fit frames with plenty of room. */
export function* chunked<Item, Row>(items: Iterable<Item>, view: (item: Item) => Row): Generator<Row[]> {
  let rows: Row[] = [];
  let bytes = 0;
  for (const item of items) {
    const row = view(item);
    rows.push(row);
    bytes += bytesOf(row);
    if (rows.length < CHUNK_ROWS_MAX && bytes < CHUNK_BYTES_MAX) continue;
    yield rows;
    rows = [];
    bytes = 0;
  }
  if (rows.length > 0) yield rows;
}

/** Adds up a reply as it is built. */
export class ReplySize {
  private bytes = 0;

  fits(row: unknown): boolean {
    return this.bytes + bytesOf(row) <= REPLY_BYTES_MAX;
  }

  /** false: no more of this size fits. */
  takes(row: unknown): boolean {
    const bytes = bytesOf(row);
    if (this.bytes + bytes > REPLY_BYTES_MAX) return false;
    this.bytes += bytes;
    return true;
  }

  /** @throws {RequestError} limit-exceeded, when it does not fit */
  require<Row>(row: Row): Row {
    if (!this.takes(row)) throw new RequestError("limit-exceeded", { what: "reply", max: REPLY_BYTES_MAX });
    return row;
  }
}
