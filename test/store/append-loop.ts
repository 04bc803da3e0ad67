/**
 * A process that appends to a journal until it is told otherwise, for tests that kill it, fill its disk or
 * fail its system calls. Arguments: folder, first value, how many, how many at once, bytes of padding.
 * It prints `ack VALUE` for each value that is durable and `refused VALUE CODE` for each that is not.
 */
import { writeSync } from "node:fs";
import type { Event } from "../../src/core/event.ts";
import { readJournal } from "../../src/store/journal/reader.ts";
import { nextSegmentNumber } from "../../src/store/journal/segments.ts";
import { JournalWriter } from "../../src/store/journal/writer.ts";
import { StoreError } from "../../src/store/store-error.ts";

const [folder = "", ...numbers] = process.argv.slice(2);
const [first = 1, count = 1, together = 1, padding = 0] = numbers.map(Number);

const { lastSequence } = readJournal({ folder, after: 0, visit: () => undefined });
const writer = new JournalWriter({ folder, nextNumber: nextSegmentNumber(folder), durableSequence: lastSequence });
let next = first;
await Promise.all(Array.from({ length: together }, appendUntilDone));
await writer.close();

async function appendUntilDone(): Promise<void> {
  while (next < first + count) {
    const value = next++;
    try {
      await writer.append([padded(value)]);
      print(`ack ${value}`);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      print(`refused ${value} ${error.code}`);
      if (error.code !== "no-space") return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function padded(value: number): Event {
  return { kind: "variable-set", variable: { kind: "plain", name: "n", value: `${value} ${"x".repeat(padding)}` } };
}

function print(line: string): void {
  writeSync(1, `${line}\n`);
}
