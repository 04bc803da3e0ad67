/** `job log -t`: the bytes of a log as they come, to its end, for a reader on any host. */
import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { isEnded, runOf } from "../../core/job.ts";
import { RequestError } from "../../protocol/error.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { StreamContext } from "../server/handler.ts";
import { statusOf } from "../views/job.ts";
import type { Services } from "./services.ts";

const CHUNK_BYTES = 65_536;
/** Changes of a file are a hint that can be missed: look again this often while somebody follows. */
const LOOK_AGAIN_MS = 1_000;

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
    const path = await startedLog(services, params, alarm);
    if (path === null) return { status: statusOf((await book.one(params.jid)).state) };
    const file = await opened(path);
    try {
      let offset = await firstByte(file, params.tail_bytes);
      alarm.watch(path);
      for (;;) {
        // The end is looked up before the last read: what was written until then is read after it.
        const job = (await book.get([params.jid])).get(params.jid);
        offset = await sendFrom(file, offset, context);
        // Forgotten while we followed: only what was canceled can be.
        if (job === undefined) return { status: "canceled" };
        if (job.state.kind !== "starting" && job.state.kind !== "running") return { status: statusOf(job.state) };
        context.signal.throwIfAborted();
        await alarm.wait();
      }
    } finally {
      await file.close();
    }
  } finally {
    unsubscribe();
    alarm.stop();
  }
}

/** Waits for the job to be started. null: it ended without. */
async function startedLog({ book }: Services, params: Params<"job.follow">, alarm: Alarm): Promise<string | null> {
  for (;;) {
    const job = await book.one(params.jid);
    const run = runOf(job.state);
    if (run !== null && job.state.kind !== "starting") return params.stream === "stdout" ? run.log : run.errLog;
    if (isEnded(job.state)) return null;
    alarm.signal.throwIfAborted();
    await alarm.wait();
  }
}

async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    throw new RequestError("log-missing", { path, message: (error as NodeJS.ErrnoException).code ?? "" });
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
