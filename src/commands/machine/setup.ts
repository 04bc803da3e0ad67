/** `machine setup`: commands in order on each machine, which then joins a class. */
import { parseDuration } from "../../config/duration.ts";
import type { Arguments } from "../argument.ts";
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { idRange, idsFrom, warnAll } from "../report.ts";
import { checkedCommand, checkedName, parseTime } from "../values.ts";
import type { setupArguments } from "./arguments.ts";
import { namedAddresses } from "./named.ts";

type SetupFlags = Arguments<typeof setupArguments>;

export const run: Run<typeof setupArguments> = async (args, { output, surroundings, withClient }) => {
  checkWhich(args);
  const existing = args.existing === true;
  const addrs = namedAddresses(args, surroundings);
  if (!existing && addrs.length === 0) throw noMachine(args);
  const request = {
    addrs,
    existing,
    class: args.class === undefined ? null : checkedName(args.class, "class"),
    cmds: args.cmds.map(checkedCommand),
    timeout: parseTime(args.timeout, "--timeout"),
    stagger: parseStagger(args.stagger),
    notify: args.notify ?? false,
  };
  const { first, count, warnings } = await withClient((client) => client.call("machine.setup", request));
  warnAll(warnings, output);
  if (output.json) output.printJson({ jids: idsFrom(first, count) });
  else if (output.quiet) output.printLines(idsFrom(first, count).map(String));
  else {
    const commands = args.cmds.length === 1 ? "1 command" : `${args.cmds.length} commands`;
    // How many were understood: commands without their quotes are as many as they have words.
    output.print(count === 1 ? `Queued job ${first} (${commands})` : `Queued jobs ${idRange(first, count)} (${commands} each)`);
  }
  return 0;
};

function checkWhich({ existing, machine, file, class: className }: SetupFlags): void {
  if (existing !== true) return;
  if (machine.length > 0 || file.length > 0) {
    throw new UsageError(
      "--existing does not go with --machine or --file.",
      "It takes all machines of --class; leave out one or the other.",
    );
  }
  if (className === undefined) throw new UsageError("--existing needs a class.", "Write j machine setup -e -c CLASS -- CMD...");
}

function noMachine({ file }: SetupFlags): UsageError {
  const files = file.map((each) => JSON.stringify(each)).join(" and ");
  return file.length === 0
    ? new UsageError("No machine is named.", "Name some with -m ADDR or -f FILE, or take those of a class with -e -c CLASS.")
    : new UsageError(`There is no machine in ${files}.`, "Write one machine a line; what follows # is passed over.");
}

/** Seconds. */
function parseStagger(typed: string | undefined): number {
  if (typed === undefined) return 0;
  const seconds = parseDuration(typed, "s");
  if (seconds !== null) return seconds;
  throw new UsageError(
    `--stagger is ${JSON.stringify(typed)}, which is no time.`,
    "Write it as in 90s, 15m or 1h34m; a bare number is seconds.",
  );
}
