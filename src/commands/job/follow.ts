/** `job log -t`: the end of a log, and what is added to it until the job has ended or someone presses Ctrl-C. */
import type { Client } from "../../client/client.ts";
import { RequestError } from "../../protocol/error.ts";
import { printable } from "../../terminal/printable.ts";
import type { Output } from "../output.ts";

const TAIL_BYTES = 65_536;
/** 128 + SIGINT, as shells count. */
const INTERRUPTED = 130;

/** @returns the exit code: 0 when the job has ended, or nobody reads any more */
export async function followLog(
  client: Client,
  which: { readonly jid: number; readonly stream: "stdout" | "stderr" },
  output: Output,
): Promise<number> {
  const stream = client.stream("job.follow", { ...which, tail_bytes: TAIL_BYTES });
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    stream.cancel();
  };
  process.once("SIGINT", interrupt);
  const show = output.isTerminal() ? screenText() : (bytes: Uint8Array) => bytes;
  try {
    for await (const bytes of stream) {
      if (!output.write(show(bytes))) return 0;
    }
    await stream.result;
    return 0;
  } catch (error) {
    if (interrupted && error instanceof RequestError && error.code === "canceled") return INTERRUPTED;
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
  }
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
