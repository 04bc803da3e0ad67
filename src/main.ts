/**
 * Who am I? The name this executable was called by and the first word decide: the old server call, or a
 * command. The only place that ends the process, and the only one that knows both the client and the daemon.
 */
import { basename } from "node:path";
import type { Serve } from "./commands/context.ts";
import { isOldCall } from "./commands/old-call.ts";
import { root } from "./commands/root.ts";
import { runCommandLine } from "./commands/run.ts";

const serve: Serve = async (options) => (await import("./daemon/serve.ts")).serve(options);

async function main(argv: readonly string[]): Promise<number> {
  const program = { root, environment: process.env, folder: process.cwd(), serve };
  const calledAsClient = basename(process.argv0) === "j";
  return runCommandLine(argv, { ...program, oldCall: !calledAsClient && isOldCall(argv) });
}

process.exit(await main(process.argv.slice(2)));
