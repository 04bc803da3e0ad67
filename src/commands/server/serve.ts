/** `serve`: settles the options, hands over to the daemon, and words how it ended. */
import { resolveServeOptions, type ServeFlags } from "../../config/serve-options.ts";
import { SERVE_EXIT_CODES } from "../../config/serve-outcome.ts";
import { serveFailureWords } from "../../terminal/serve-failure.ts";
import type { Run } from "../command.ts";
import { Failure } from "../failure.ts";
import type { serveArguments } from "./serve-arguments.ts";

export const run: Run<typeof serveArguments> = async (args, context) => {
  const { serve, shared, surroundings, notes } = context;
  const flags: ServeFlags = {
    ...shared,
    runner: args.runner,
    runnerArgs: args["runner-arg"],
    logDir: args["log-dir"],
    detach: args.detach,
    allowSnapFail: args["allow-snap-fail"],
    allowNetworkFs: args["allow-network-fs"],
    logLevel: args["log-level"],
    knownHosts: args["known-hosts"],
    identities: args.identity,
    sshConfig: args["ssh-config"],
    summaryInterval: args["summary-interval"],
    notifyRunning: args["notify-running"],
    notifyComplete: args["notify-complete"],
    notifyCopied: args["notify-copied"],
    notifyFail: args["notify-fail"],
    notifyMachineBroken: args["notify-machine-broken"],
    notes,
  };
  const resolve = () => resolveServeOptions(flags, surroundings);
  const options = await resolve();
  if (options.detach) {
    const { detach } = await import("./detach.ts");
    return detach(options, context);
  }
  const outcome = await serve(options, resolve);
  if (outcome.kind === "stopped") return 0;
  const { message, hint } = serveFailureWords(outcome);
  throw new Failure(outcome.code, message, hint, SERVE_EXIT_CODES[outcome.code]);
};
