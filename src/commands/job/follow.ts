/**
 * `job log -t`: the end of a log, and what is added to it until the job has ended or someone presses Ctrl-C. Of several
 * logs each line says whose it is.
 */
import type { Client } from "../../client/client.ts";
import { RequestError } from "../../protocol/error.ts";
import { REQUESTS_IN_FLIGHT_MAX } from "../../protocol/limits.ts";
import { type Palette, paletteOf } from "../../terminal/colour.ts";
import { LabelledLines } from "../../terminal/labelled-lines.ts";
import { printable } from "../../terminal/printable.ts";
import { Failure } from "../failure.ts";
import type { Output } from "../output.ts";
import { reportRefused } from "../report.ts";

const TAIL_BYTES = 65_536;
/** Of each of several: the last lines, as `tail -f` shows them. */
const TAIL_BYTES_OF_EACH = 2_048;
const FOLLOWED_MAX = REQUESTS_IN_FLIGHT_MAX - 4;
/** 128 + SIGINT, as shells count. */
const INTERRUPTED = 130;

export interface FollowedLog {
  readonly jid: number;
  /** Of a setup job: how many of its commands have begun; null of every other. */
  readonly commands: number | null;
}

/** @returns the exit code: 0 when all jobs have ended, or nobody reads any more */
export async function followLogs(
  client: Client,
  which: { readonly logs: readonly FollowedLog[]; readonly stream: "stdout" | "stderr" },
  output: Output,
): Promise<number> {
  const { logs, stream } = which;
  if (logs.length > FOLLOWED_MAX) {
    const message = `That names ${logs.length} jobs, but ${FOLLOWED_MAX} can be followed at a time.`;
    throw new Failure("too-many-jobs", message, "Name fewer of them.", 2);
  }
  const palette = paletteOf(await output.screen());
  const width = Math.max(...logs.map((log) => labelOf(log.jid, log.commands).length));
  const followers = logs.map((log, index) => {
    const tail = logs.length === 1 ? TAIL_BYTES : TAIL_BYTES_OF_EACH;
    const screen = logs.length === 1 ? plainScreen(output) : labelledScreen(log, { output, palette, width, index, tail });
    const follow = client.stream("job.follow", { jid: log.jid, stream, tail_bytes: tail });
    return { follow, screen };
  });
  let isInterrupted = false;
  let isUnread = false;
  const cancelAll = (): void => {
    for (const { follow } of followers) follow.cancel();
  };
  const interrupt = (): void => {
    isInterrupted = true;
    cancelAll();
  };
  process.once("SIGINT", interrupt);
  const outcomes = followers.map(async ({ follow, screen }): Promise<RequestError | null> => {
    try {
      for await (const bytes of follow) {
        if (screen.show(bytes)) continue;
        isUnread = true;
        cancelAll();
        return null;
      }
      screen.end((await follow.result).status);
      return null;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.code === "canceled" && (isInterrupted || isUnread)) return null;
      // One log that cannot be read is no reason to leave the others.
      if (error.code === "shutting-down" || logs.length === 1) throw error;
      return error;
    }
  });
  try {
    const refused = (await Promise.all(outcomes)).filter((error) => error !== null);
    if (isInterrupted) return INTERRUPTED;
    return isUnread ? 0 : reportRefused(refused, output);
  } finally {
    process.off("SIGINT", interrupt);
    cancelAll();
    // The first error was thrown; those that follow from it have nothing to add.
    await Promise.allSettled(outcomes);
  }
}

/** Where the bytes of one log go. No bytes at all stand for the beginning of the next command's log. */
interface LogScreen {
  /** @returns false when nobody reads any more */
  show(bytes: Uint8Array): boolean;
  end(status: string): void;
}

function plainScreen(output: Output): LogScreen {
  const text = output.isTerminal() ? screenText() : asIs;
  return { show: (bytes) => output.write(text(bytes)), end: () => undefined };
}

interface LabelOptions {
  readonly output: Output;
  readonly palette: Palette;
  readonly width: number;
  /** Of the colour. */
  readonly index: number;
  readonly tail: number;
}

function labelledScreen(log: FollowedLog, { output, palette, width, index, tail }: LabelOptions): LogScreen {
  const paints = [palette.cyan, palette.yellow, palette.green, palette.magenta, palette.blue];
  const paint = paints[index % paints.length] ?? palette.cyan;
  let command = log.commands === null ? null : 1;
  const prefix = (): string => paint(`${labelOf(log.jid, command).padStart(width)}| `);
  const text = output.isTerminal() ? screenText() : asIs;
  const lines = new LabelledLines(prefix());
  let isFirst = true;
  return {
    show: (bytes) => {
      if (bytes.length === 0) {
        command = (command ?? 1) + 1;
        return output.write(lines.relabel(prefix()));
      }
      // What was cut out of the middle of a log begins with half a line.
      const whole = isFirst && bytes.length >= tail ? bytes.subarray(bytes.indexOf(0x0a) + 1) : bytes;
      isFirst = false;
      return output.write(lines.take(text(whole)));
    },
    end: (status) => {
      output.write(lines.end());
      if (output.isTerminal()) output.print(`${prefix()}${palette.dim(`(${status})`)}`);
    },
  };
}

/** `12`, and `12.2` for the second command of a setup job. */
function labelOf(jid: number, command: number | null): string {
  return command === null ? String(jid) : `${jid}.${command}`;
}

function asIs(bytes: Uint8Array): Uint8Array {
  return bytes;
}

/** A job's output must not act on the terminal: lines and tabs stay, the rest is written as escapes. */
function screenText(): (bytes: Uint8Array) => Uint8Array {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  // A return at the end of a piece may be half of a line break.
  let held = "";
  return (bytes) => {
    const text = held + decoder.decode(bytes, { stream: true });
    held = text.endsWith("\r") ? "\r" : "";
    const whole = held === "" ? text : text.slice(0, -1);
    // A progress bar returns to the start of its line: each state of it becomes a line.
    const lines = whole.replaceAll(/\r+\n/g, "\n").replaceAll("\r", "\n").split("\n");
    return encoder.encode(lines.map((line) => line.split("\t").map(printable).join("\t")).join("\n"));
  };
}
