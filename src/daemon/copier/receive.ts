/**
 * Owns the way of bytes from one stream into the files of a temporary folder, in the order of the listing. A small
 * copy is written here, file by file between other work; all others by a thread of their own, which costs some
 * milliseconds to start and then leaves this one to the connection and the requests.
 */
import { resultsChanged, targetUnwritable } from "./copy-problem.ts";
import { FilesWriter, type FileToWrite, WriteFailure } from "./files-writer.ts";
import { ReceivingThread } from "./receive-thread.ts";
import { TimeSlice } from "./time-slice.ts";

/** From here on a thread is worth its start. A file costs as much as so many bytes of a large one. */
const THREAD_BYTES_MIN = 8 * 1024 * 1024;
const FILE_COST_BYTES = 16 * 1024;

export interface FileToReceive extends FileToWrite {
  /** For messages: the name on the machine. */
  readonly source: string;
}

export interface ReceiveOptions {
  readonly machine: string;
  readonly stream: AsyncIterable<Uint8Array>;
  readonly files: readonly FileToReceive[];
  readonly onReceived: (index: number, sha256: string) => void;
}

/**
 * Reads the stream to its end.
 * @returns how many of the files are complete; fewer than all: the stream was too short
 * @throws {CopyProblem} results-changed when it is too long, target-unwritable, or what the stream throws
 */
export async function receiveFiles(options: ReceiveOptions): Promise<number> {
  const bytes = options.files.reduce((sum, file) => sum + file.bytes - file.resumeBytes, 0);
  const isSmall = options.files.reduce((sum, file) => sum + file.bytes + FILE_COST_BYTES, 0) < THREAD_BYTES_MIN;
  const limited = { ...options, stream: notLongerThan(bytes, options) };
  return isSmall ? await receiveHere(limited) : await receiveInThread(limited);
}

async function* notLongerThan(bytes: number, { stream, files, machine }: ReceiveOptions): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of stream) {
    left -= chunk.length;
    if (left < 0) throw resultsChanged(machine, files.at(-1)?.source ?? "");
    yield chunk;
  }
}

async function receiveHere({ stream, files, onReceived }: ReceiveOptions): Promise<number> {
  const slice = new TimeSlice();
  const writer = new FilesWriter();
  writer.add(files);
  try {
    for await (const chunk of stream) {
      for (let at = 0; at < chunk.length; ) {
        const { bytes, sha256 } = writer.take(chunk, at);
        at += bytes;
        if (sha256 !== null) onReceived(writer.count - 1, sha256);
        if (slice.over) await slice.pause();
      }
    }
    for (let sha256 = writer.takeEmpty(); sha256 !== null; sha256 = writer.takeEmpty()) {
      onReceived(writer.count - 1, sha256);
      if (slice.over) await slice.pause();
    }
    await writer.close();
    return writer.count;
  } catch (error) {
    await writer.close().catch(() => null);
    throw error instanceof WriteFailure ? targetUnwritable(error.path, error) : error;
  }
}

async function receiveInThread({ stream, files, onReceived }: ReceiveOptions): Promise<number> {
  let count = 0;
  const toWrite = files.map(({ path, bytes, resumeBytes, umask }) => ({ path, bytes, resumeBytes, umask }));
  const thread = await ReceivingThread.start(toWrite, (sha256) => {
    count += 1;
    onReceived(count - 1, sha256);
  });
  try {
    try {
      for await (const chunk of stream) {
        const room = thread.take(chunk);
        if (room !== undefined) await room;
      }
    } catch (error) {
      // What has come is kept; why no more came is what counts, also when that fails as well.
      await thread.end(false).catch(() => null);
      throw error;
    }
    await thread.end(true);
    return count;
  } finally {
    await thread.stop();
  }
}
