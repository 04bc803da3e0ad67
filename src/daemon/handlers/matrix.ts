/** What people ask of matrices: queued as one request, listed in chunks. */
import { RequestError } from "../../protocol/error.ts";
import type { Handlers } from "../server/handler.ts";
import { jobView } from "../views/job.ts";
import { matrixView } from "../views/matrix.ts";
import { addWarnings, checkCommand } from "./job.ts";
import { chunked } from "./reply-size.ts";
import { requestIdReused } from "./request-id.ts";
import type { Services } from "./services.ts";

export function matrixHandlers(services: Services): Pick<Handlers, "matrix.add" | "matrix.list"> {
  const { engine, book, now } = services;
  return {
    "matrix.add": async (params, { requestId }) => {
      checkCommand(services, params.class, params.cmd);
      const answer = await engine.submit(
        {
          kind: "add-matrix",
          class: params.class,
          cmd: params.cmd,
          copyTo: params.cp_results,
          keys: params.keys,
          count: params.count,
          retry: params.retry === null ? null : { maxFailures: params.retry.max_failures },
          timeoutSeconds: params.timeout,
          notify: params.notify,
        },
        requestId,
      );
      if (answer.kind !== "matrix") throw requestIdReused(answer);
      const names = params.keys.map((key) => key.name);
      return { id: answer.id, first: answer.first, count: answer.count, warnings: addWarnings(services, params, names) };
    },
    "matrix.list": async ({ id }, { emit }) => {
      const matrix = engine.state.matrices.get(id);
      if (matrix === undefined) throw new RequestError("no-such-matrix", { id });
      const { jobs } = await book.resolve([{ kind: "id", id }]);
      for (const chunk of chunked(jobs, (job) => jobView(engine.state, job, now()))) await emit(chunk);
      return { matrix: matrixView(matrix) };
    },
  };
}
