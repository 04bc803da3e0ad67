/**
 * The jobs of a matrix while they run: in a terminal a listing that is redrawn in place, else one line a job that
 * ended. The server's event stream says when to look again; what is shown is what the server answers then.
 */
import { type Client, connect } from "../../src/client/client.ts";
import type { WireCounts, WireJob } from "../../src/protocol/methods/job.ts";
import { formatDuration } from "../../src/terminal/duration.ts";
import { renderJobListing } from "../../src/terminal/job-listing.ts";
import type { DemoScreen } from "./screen.ts";

export interface WatchOptions {
  readonly address: string;
  readonly tokenFile: string;
  readonly matrix: number;
  readonly screen: DemoScreen;
  readonly signal: AbortSignal;
}

const drawEveryMs = 100;
/** Durations of what runs grow without an event. */
const redrawAfterMs = 1_000;
const rowsMax = 14;

/** Returns when all have ended, retries included. @returns all jobs, retried ones as well */
export async function watchMatrix(options: WatchOptions): Promise<readonly WireJob[]> {
  const { screen, signal } = options;
  const client = await connect({ address: options.address, tokenFile: options.tokenFile });
  let changed: () => void = () => undefined;
  const wakeNow = (): void => changed();
  const resized = (): void => {
    screen.forgetBlock();
    changed();
  };
  signal.addEventListener("abort", wakeNow);
  process.on("SIGWINCH", resized);
  try {
    const events = client.stream("events.follow", {});
    const lost = followEvents(events, wakeNow);
    const told = new Set<number>();
    while (!signal.aborted) {
      const wake = Promise.withResolvers<void>();
      changed = wake.resolve;
      const jobs = await listMatrix(client, options.matrix);
      if (signal.aborted) break;
      if (screen.isTerminal) screen.draw(listing(jobs, screen));
      else for (const line of endedLines(jobs, told)) screen.line(line);
      if (jobs.every(hasEnded)) return jobs;
      await Bun.sleep(drawEveryMs);
      await Promise.race([wake.promise, lost, Bun.sleep(redrawAfterMs)]);
    }
    throw new Error("stopped");
  } finally {
    process.off("SIGWINCH", resized);
    signal.removeEventListener("abort", wakeNow);
    screen.endBlock();
    client.close();
  }
}

/** Never resolves before the stream ends, and then only by its error. */
async function followEvents(events: AsyncIterable<unknown>, changed: () => void): Promise<void> {
  try {
    for await (const _event of events) changed();
  } catch {
    // The next listing says what is wrong, in better words.
  }
  changed();
}

async function listMatrix(client: Client, id: number): Promise<WireJob[]> {
  const stream = client.stream("matrix.list", { id });
  const jobs: WireJob[] = [];
  for await (const chunk of stream) jobs.push(...chunk);
  return jobs;
}

/** Unknown counts as an end here: nobody is there to decide. */
function hasEnded(job: WireJob): boolean {
  return ["done", "failed", "canceled", "unknown"].includes(job.status);
}

function listing(jobs: readonly WireJob[], screen: DemoScreen): string[] {
  const { columns, rows } = screen.size;
  const shown = windowOf(jobs, Math.max(3, Math.min(rowsMax, rows - 6)));
  const text = renderJobListing(
    // The template is the same for all: the last words of each tell them apart, and fit beside the rest.
    { counts: countsOf(jobs), rows: shown.map((job) => ({ kind: "job" as const, job: { ...job, cmd: shortCommand(job) } })) },
    { width: columns - 1, colours: screen.colours },
  );
  return [progressBar(jobs, columns), ...text.split("\n")];
}

/** Without the shell and the folder. */
function shortCommand(job: WireJob): string {
  return job.command_line.replace(/^sh \S+\//, "");
}

/** The running ones with what ended before them and what comes next. */
function windowOf(jobs: readonly WireJob[], length: number): readonly WireJob[] {
  const next = jobs.findIndex((job) => !hasEnded(job));
  const first = (next === -1 ? jobs.length : next) - Math.floor(length / 2);
  const start = Math.max(0, Math.min(first, jobs.length - length));
  return jobs.slice(start, start + length);
}

function progressBar(jobs: readonly WireJob[], columns: number): string {
  const ended = jobs.filter(hasEnded).length;
  const label = ` ${ended} of ${jobs.length}`;
  const width = Math.max(10, Math.min(60, columns - label.length - 3));
  const filled = Math.round((ended / jobs.length) * width);
  return `[${"#".repeat(filled)}${"-".repeat(width - filled)}]${label}`;
}

function endedLines(jobs: readonly WireJob[], told: Set<number>): string[] {
  const ended = jobs.filter((job) => hasEnded(job) && !told.has(job.jid));
  return ended.map((job) => {
    told.add(job.jid);
    const place = `${String(told.size).padStart(String(jobs.length).length)} of ${jobs.length}`;
    const took = job.duration === null ? "" : ` (${formatDuration(job.duration)})`;
    return `  ${place}  job ${job.jid} ${job.status}${took} on ${job.machine ?? "no machine"}: ${shortCommand(job)}`;
  });
}

function countsOf(jobs: readonly WireJob[]): WireCounts {
  const counts = { waiting: 0, held: 0, running: 0, copying: 0, done: 0, failed: 0, canceled: 0, unknown: 0 };
  for (const job of jobs) counts[job.status] += 1;
  return counts;
}
