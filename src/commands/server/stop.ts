/** `stop`: asks the server to stop, and waits until it has. */
import type { Client } from "../../client/client.ts";
import { ClientError } from "../../client/error.ts";
import { RequestError } from "../../protocol/error.ts";
import type { Run } from "../command.ts";
import { Failure } from "../failure.ts";
import type { NoArguments } from "./arguments.ts";

const STOP_MS_MAX = 30_000;

export const run: Run<NoArguments> = async (_args, { output, withClient }) => {
  const pid = await withClient(async (client) => {
    const ended = connectionEnd(client);
    const answer = await client.call("server.stop", {});
    await within(STOP_MS_MAX, ended, answer.pid);
    return answer.pid;
  });
  await processEnd(pid);
  if (output.json) output.printJson({ pid });
  else if (!output.quiet) output.print(`The server (process ${pid}) has stopped. Jobs that ran go on.`);
  return 0;
};

/** The server closes its connections last: a stream that nothing else ends tells when. */
async function connectionEnd(client: Client): Promise<void> {
  const events = client.stream("events.follow", {});
  try {
    for await (const _event of events) {
      // What happens until then is of no interest.
    }
  } catch (error) {
    const ended = error instanceof ClientError || (error instanceof RequestError && error.code === "shutting-down");
    if (!ended) throw error;
  }
}

async function within(limitMs: number, ended: Promise<void>, pid: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(stillRunning(pid)), limitMs);
  try {
    await Promise.race([ended, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** On the server's own host, so that the next server finds lock and port free; elsewhere the number means nothing. */
async function processEnd(pid: number): Promise<void> {
  for (let waitedMs = 0; isAlive(pid); waitedMs += 20) {
    if (waitedMs > STOP_MS_MAX) throw stillRunning(pid);
    await Bun.sleep(20);
  }
}

function stillRunning(pid: number): Failure {
  const hint = `See its log; \`kill -9 ${pid}\` ends it for certain, and no job is lost.`;
  return new Failure("still-running", `The server (process ${pid}) has not stopped after ${STOP_MS_MAX / 1_000} seconds.`, hint);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    // No such process, or one of another user: not the server that obeyed us.
    return false;
  }
}
