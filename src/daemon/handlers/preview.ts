/** What a request would queue: decided by the same rules, on a state that is thrown away. */
import type { UserCommand } from "../../core/command.ts";
import type { Params, Result } from "../../protocol/methods.ts";
import type { Engine } from "../engine.ts";
import { jobView } from "../views/job.ts";

type Preview = Pick<Result<"job.preview">, "count" | "first" | "last">;

/** @throws {RequestError} where queueing would be refused */
export function previewOf(engine: Engine, params: Params<"job.preview">): Preview {
  const { state, answer } = engine.rehearse(commandOf(params));
  if (answer.kind !== "jobs" && answer.kind !== "matrix") throw new Error(`nothing would be queued: ${answer.kind}`);
  const line = (jid: number): Preview["first"] => {
    const job = state.jobs.get(jid);
    if (job === undefined) throw new Error(`job ${jid} would not be queued`);
    const { command_line, cp_results } = jobView(state, job, job.created);
    return { command_line, cp_results };
  };
  return { count: answer.count, first: line(answer.first), last: line(answer.first + answer.count - 1) };
}

function commandOf({ class: className, cmd, cp_results, keys, count, tag }: Params<"job.preview">): UserCommand {
  const job = { class: className, cmd, copyTo: cp_results, count, retry: null, timeoutSeconds: null, notify: false };
  return keys.length === 0 ? { ...job, kind: "add-jobs", tag } : { ...job, kind: "add-matrix", keys };
}
