/**
 * Who am I? The name this executable was called by and the first word decide: the old server call, or a
 * command. The only place that ends the process, and the only one that knows both the client and the daemon.
 */

/**
 * A command ends before compiled code is worth its compiling, which takes a fifth of the processor time of a call. The
 * work of long commands is compiled all the same, a little later; the server works as ever.
 */
const COMMANDS_COMPILE_LATER = 16;

async function main(argv: readonly string[]): Promise<number> {
  if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V") && (await printedVersion())) return 0;
  Bun.unsafe.setJITPolicy(COMMANDS_COMPILE_LATER);
  const { runCommandLine } = await import("./commands/run.ts");
  return runCommandLine(argv, {
    environment: process.env,
    folder: process.cwd(),
    calledAsClient: /(^|\/)j$/.test(process.argv0),
    // A compiled program has its modules inside; otherwise Bun is the program and this file its script.
    executable: Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main],
    serve: async (options, reread) => {
      Bun.unsafe.setJITPolicy(1);
      return (await import("./daemon/serve.ts")).serve(options, reread, await noticeWords());
    },
    offline: async (task) => {
      Bun.unsafe.setJITPolicy(1);
      return (await import("./offline/offline.ts")).runOffline(task);
    },
  });
}

/** Scripts ask for it most, and it needs none of what a command needs. When it cannot be written, the ordinary way says why. */
async function printedVersion(): Promise<boolean> {
  const { VERSION } = await import("./config/version.ts");
  const line = `expjobserver ${VERSION}\n`;
  return await Bun.write(Bun.stdout, line).then(
    (bytes) => bytes === line.length,
    () => false,
  );
}

/** The client's words, for what the daemon tells people. */
async function noticeWords() {
  const { jobJson, machineJson } = await import("./terminal/job-json.ts");
  const { formatDuration } = await import("./terminal/duration.ts");
  const { printable } = await import("./terminal/printable.ts");
  return { job: jobJson, machine: machineJson, duration: formatDuration, printable };
}

process.exit(await main(process.argv.slice(2)));

// Without an import or export at the top, this would be no module, and could not wait at the top.
export {};
