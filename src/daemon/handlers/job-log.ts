/**
 * `job log -t`: the bytes of a log as they come, to its end, for a reader on any host. A setup job has one log for each
 * of its commands: they follow each other, and an empty chunk stands between them. A log that was compressed is sent
 * as it was.
 */
import { createReadStream, type FSWatcher, watch } from "node:fs";
import { type FileHandle, stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { isEnded, type Job, runOf, stepOf } from "../../core/job.ts";
import { RequestError } from "../../protocol/error.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import { COMPRESSED_SUFFIX } from "../job-logs.ts";
import { openLog } from "../open-log.ts";
import type { Handlers, StreamContext } from "../server/handler.ts";
import { statusOf } from "../views/job.ts";
import { expiredError } from "./expired-logs.ts";
import type { Services } from "./services.ts";

const CHUNK_BYTES = 65_536;
/** Changes of a file are a hint that can be missed: look again this often while somebody follows. */
const LOOK_AGAIN_MS = 1_000;

type Stream = Params<"job.follow">["stream"];

export function jobLogHandlers({ book }: Services): Pick<Handlers, "job.log-size"> {
  return {
    "job.log-size": async ({ jid, stream }) => {
      const sizes = await Promise.all(logsOfStream(await book.one(jid), stream).map(sizeOrNull));
      return { bytes: sizes.includes(null) ? null : sizes.reduce((sum: number, size) => sum + (size ?? 0), 0) };
    },
  };
}

export async function followLog(
  services: Services,
  params: Params<"job.follow">,
  context: StreamContext<Uint8Array>,
): Promise<Result<"job.follow">> {
  const { engine, book } = services;
  const alarm = new Alarm(context.signal);
  const unsubscribe = engine.subscribe(({ events }) => {
    if (events.some((event) => "jid" in event && event.jid === params.jid)) alarm.ring();
  });
  try {
    let job = await startedJob(services, params, alarm);
    const tails = await tailsOf(logsOfStream(job, params.stream), params.tail_bytes);
    for (let index = 0; ; index += 1) {
      const path = logsOfStream(job, params.stream)[index];
      if (path === undefined) return { status: statusOf(job.state) };
      if (index > 0) await context.emit(new Uint8Array());
      const tailBytes = tails[index] ?? null;
      if (tailBytes === 0 && index + 1 < tails.length) continue;
      const followed = await followFile(services, { params, path, index, tailBytes, alarm, context });
      // Forgotten while we followed: only what was canceled can be.
      if (followed === null) return { status: "canceled" };
      job = followed;
      // Between two commands of a setup job nothing runs, and its next log is not there yet.
      while (!isOver(job) && logsOfStream(job, params.stream).length <= index + 1) {
        context.signal.throwIfAborted();
        await alarm.wait();
        const found = (await book.get([params.jid])).get(params.jid);
        if (found === undefined) return { status: "canceled" };
        job = found;
      }
    }
  } finally {
    unsubscribe();
    alarm.stop();
  }
}

/** How many bytes of each log make the last `tailBytes` of all together; null: all of it. */
async function tailsOf(logs: readonly string[], tailBytes: number | null): Promise<readonly (number | null)[]> {
  if (tailBytes === null) return [];
  const sizes = await Promise.all(logs.map(sizeOrNull));
  let left = tailBytes;
  return sizes
    .toReversed()
    .map((size) => {
      const taken = left;
      // What a compressed one holds is not known: it is taken for little.
      left = Math.max(0, left - (size ?? 0));
      return taken;
    })
    .reverse();
}

interface FollowedFile {
  readonly params: Params<"job.follow">;
  readonly path: string;
  /** Which of the job's logs this is. */
  readonly index: number;
  readonly tailBytes: number | null;
  readonly alarm: Alarm;
  readonly context: StreamContext<Uint8Array>;
}

/** Sends one log to its end. @returns the job as it was before the last read; null when it was forgotten */
async function followFile(services: Services, followed: FollowedFile): Promise<Job | null> {
  const { book } = services;
  const { params, path, index, tailBytes, alarm, context } = followed;
  const file = await opened(services, path, params.jid);
  if (file === null) {
    await sendCompressed(`${path}${COMPRESSED_SUFFIX}`, { params, tailBytes, context });
    return (await book.get([params.jid])).get(params.jid) ?? null;
  }
  try {
    let offset = await firstByte(file, tailBytes);
    alarm.watch(path);
    for (;;) {
      // The end is looked up before the last read: what was written until then is read after it.
      const job = (await book.get([params.jid])).get(params.jid);
      offset = await sendFrom(file, offset, context);
      if (job === undefined) return null;
      if (isOver(job) || logsOfStream(job, params.stream)[index + 1] !== undefined) return job;
      context.signal.throwIfAborted();
      await alarm.wait();
    }
  } finally {
    alarm.unwatch();
    await file.close();
  }
}

/** Waits for a log to begin, or for the end of a job that has none. */
async function startedJob({ book }: Services, params: Params<"job.follow">, alarm: Alarm): Promise<Job> {
  for (;;) {
    const job = await book.one(params.jid);
    if (logsOfStream(job, params.stream).length > 0 || isEnded(job.state)) return job;
    alarm.signal.throwIfAborted();
    await alarm.wait();
  }
}

/** Those that have begun, in the order of the commands. */
function logsOfStream({ state }: Job, stream: Stream): readonly string[] {
  const run = runOf(state);
  const logs = [...(stepOf(state)?.earlier ?? [])];
  if (run !== null && state.kind !== "starting") logs.push(run);
  return logs.map(({ log, errLog }) => (stream === "stdout" ? log : errLog));
}

/** Nothing more will be written: not while it waits for its next command, or is being started. */
function isOver({ state }: Job): boolean {
  return state.kind !== "starting" && state.kind !== "running" && state.kind !== "waiting" && state.kind !== "held";
}

/** null: it is not there, but its compressed form may be. */
async function opened(services: Services, path: string, jid: number): Promise<FileHandle | null> {
  try {
    return await openLog(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && (await isThere(`${path}${COMPRESSED_SUFFIX}`))) return null;
    const expired = code === "ENOENT" ? await expiredError(services, jid) : null;
    throw expired ?? new RequestError("log-missing", { jid, path, message: code ?? "" });
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await sizeOrNull(path)) !== null;
}

async function sizeOrNull(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch {
    // Whatever the reason is: opening it says why.
    return null;
  }
}

async function firstByte(file: FileHandle, tailBytes: number | null): Promise<number> {
  return tailBytes === null ? 0 : Math.max(0, (await file.stat()).size - tailBytes);
}

async function sendFrom(file: FileHandle, start: number, context: StreamContext<Uint8Array>): Promise<number> {
  for (let offset = start; ; ) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, offset);
    if (bytesRead === 0) return offset;
    await context.emit(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
}

/** Its last bytes are known when all were seen: it is read twice then, which costs no memory. */
async function sendCompressed(
  path: string,
  { params, tailBytes, context }: Pick<FollowedFile, "params" | "tailBytes" | "context">,
): Promise<void> {
  try {
    let skipped = 0;
    if (tailBytes !== null) {
      let bytes = 0;
      for await (const piece of decompressed(path, context.signal)) bytes += piece.length;
      skipped = Math.max(0, bytes - tailBytes);
    }
    for await (const piece of decompressed(path, context.signal)) {
      const left = piece.subarray(Math.min(skipped, piece.length));
      skipped -= piece.length - left.length;
      // A copy: the wire knows plain arrays, and the stream uses its buffers again.
      if (left.length > 0) await context.emit(Uint8Array.from(left));
    }
  } catch (error) {
    context.signal.throwIfAborted();
    const message = (error as NodeJS.ErrnoException).code;
    if (message === undefined) throw error;
    throw new RequestError("log-missing", { jid: params.jid, path, message });
  }
}

async function* decompressed(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const source = createReadStream(path);
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  source.on("error", (error) => gunzip.destroy(error));
  try {
    for await (const piece of source.pipe(gunzip)) {
      signal.throwIfAborted();
      yield piece as Uint8Array;
    }
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/** Wakes the reader: the file changed, the job changed, the client went, or it is time to look again. */
class Alarm {
  private wake: (() => void) | null = null;
  private rung = false;
  private watcher: FSWatcher | null = null;
  private readonly timer = setInterval(() => this.ring(), LOOK_AGAIN_MS);
  private readonly onAbort = (): void => this.ring();

  constructor(readonly signal: AbortSignal) {
    signal.addEventListener("abort", this.onAbort);
  }

  watch(path: string): void {
    try {
      this.watcher = watch(path, () => this.ring());
      this.watcher.on("error", () => this.watcher?.close());
    } catch {
      // The file was moved away in this moment, or the host has no watches left: the timer looks for us.
      this.watcher = null;
    }
  }

  unwatch(): void {
    this.watcher?.close();
    this.watcher = null;
  }

  ring(): void {
    this.rung = true;
    this.wake?.();
  }

  async wait(): Promise<void> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.rung = false;
    this.wake = null;
  }

  stop(): void {
    clearInterval(this.timer);
    this.watcher?.close();
    this.signal.removeEventListener("abort", this.onAbort);
  }
}
