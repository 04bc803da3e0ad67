/**
 * Who am I? The name this executable was called by and the first word decide: the old server call, or a
 * command. The only place that ends the process, and the only one that knows both the client and the daemon.
 */
import { basename } from "node:path";

async function main(argv: readonly string[]): Promise<number> {
  const { runCommandLine } = await import("./commands/run.ts");
  return runCommandLine(argv, {
    environment: process.env,
    folder: process.cwd(),
    calledAsClient: basename(process.argv0) === "j",
    // A compiled program has its modules inside; otherwise Bun is the program and this file its script.
    executable: Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main],
    serve: async (options, reread) => (await import("./daemon/serve.ts")).serve(options, reread, await noticeWords()),
    offline: async (task) => (await import("./offline/offline.ts")).runOffline(task),
  });
}

/** The client's words, for what the daemon tells people. */
async function noticeWords() {
  const { jobJson, machineJson } = await import("./terminal/job-json.ts");
  const { formatDuration } = await import("./terminal/duration.ts");
  const { printable } = await import("./terminal/printable.ts");
  return { job: jobJson, machine: machineJson, duration: formatDuration, printable };
}

process.exit(await main(process.argv.slice(2)));
