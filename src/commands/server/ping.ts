/** `ping`: a round trip to the server. */
import { formatMilliseconds } from "../../terminal/duration.ts";
import { printable } from "../../terminal/printable.ts";
import type { Run } from "../command.ts";
import type { NoArguments } from "./arguments.ts";

export const run: Run<NoArguments> = async (_args, { output, withClient }) => {
  const { version, durationMs } = await withClient(async (client) => {
    const sentAt = performance.now();
    const answer = await client.call("server.ping", {});
    return { version: answer.version, durationMs: performance.now() - sentAt };
  });
  if (output.json) output.printJson({ version, duration_ms: Math.round(durationMs * 1_000) / 1_000 });
  else output.print(`expjobserver ${printable(version)} answered in ${formatMilliseconds(durationMs)}`);
  return 0;
};
