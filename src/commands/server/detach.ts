/**
 * `serve --detach`: starts the same command again in a session of its own, and returns once that server answers.
 * Until then its words are ours; afterwards nobody reads them, and its log file has them.
 */
import { ClientError } from "../../client/error.ts";
import { formatAddress } from "../../config/address.ts";
import type { ServeOptions } from "../../config/serve-options.ts";
import { VERSION } from "../../config/version.ts";
import { RequestError } from "../../protocol/error.ts";
import type { Context } from "../context.ts";
import { Failure } from "../failure.ts";

const READY_MS_MAX = 60_000;
const POLL_MS = 25;

/** @returns the exit code: that of the server, when it ended instead of answering */
export async function detach(options: ServeOptions, { output, executable, argv, surroundings }: Context): Promise<number> {
  const child = Bun.spawn([...executable, ...argv.filter((word) => word !== "--detach")], {
    cwd: surroundings.folder,
    env: { ...surroundings.environment },
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const words = collect(child.stderr);
  const ended = child.exited.then(() => "ended" as const);
  for (let waitedMs = 0; waitedMs < READY_MS_MAX; waitedMs += POLL_MS) {
    if ((await Promise.race([ended, Bun.sleep(POLL_MS)])) === "ended") {
      output.errorText(await words.all);
      return child.exitCode ?? 8;
    }
    if ((await servedBy(options)) === child.pid) {
      child.unref();
      announce(options, child.pid, output);
      return 0;
    }
  }
  child.kill("SIGTERM");
  output.errorText(words.soFar());
  throw new Failure(
    "not-ready",
    `The server did not answer within ${READY_MS_MAX / 1_000} seconds, and was stopped.`,
    `See "${options.logDir}".`,
  );
}

function announce(options: ServeOptions, pid: number, output: Context["output"]): void {
  const address = formatAddress(options.address);
  if (output.json) output.printJson({ pid, address, state_dir: options.stateDir, log_dir: options.logDir, token_file: options.tokenFile });
  else if (output.quiet) output.print(String(pid));
  else
    output.print(`Serving on ${address}, process ${pid}\nState: ${options.stateDir}\nLogs: ${options.logDir}\nToken: ${options.tokenFile}`);
}

/** The process that answers at our address and knows our token; null: none yet. */
async function servedBy(options: ServeOptions): Promise<number | null> {
  const { connect } = await import("../../client/client.ts");
  try {
    const client = await connect({
      address: formatAddress(options.address),
      tokenFile: options.tokenFile,
      timeoutMs: 1_000,
      version: VERSION,
    });
    try {
      return (await client.call("server.status", {})).pid;
    } finally {
      client.close();
    }
  } catch (error) {
    // Not there yet, or not ours: what the new server says of it comes with its end.
    if (error instanceof ClientError || error instanceof RequestError) return null;
    throw error;
  }
}

function collect(stream: ReadableStream<Uint8Array>): { readonly all: Promise<string>; readonly soFar: () => string } {
  let text = "";
  const read = async (): Promise<string> => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) text += decoder.decode(bytes, { stream: true });
    return text;
  };
  return { all: read(), soFar: () => text };
}
