/** The stream of changes that live views are drawn from. A slow reader loses events, never the server's memory. */
import type { Chunk, Result } from "../../protocol/methods.ts";
import type { StreamContext } from "../server/handler.ts";
import { jobView } from "../views/job.ts";
import type { Services } from "./services.ts";

type ChangeChunk = Chunk<"events.follow">;

const QUEUED_JOBS_MAX = 10_000;

export async function followEvents({ engine, now }: Services, context: StreamContext<ChangeChunk>): Promise<Result<"events.follow">> {
  /** Ids whose jobs changed and were not sent yet: only the latest state of each is of interest. */
  const changed = new Set<number>();
  let gap = false;
  let wake: () => void = () => undefined;
  const unsubscribe = engine.subscribe(({ events }) => {
    for (const event of events) {
      if ("jid" in event) changed.add(event.jid);
      if (event.kind === "job-failed" && event.retry !== null) changed.add(event.retry.jid);
      else if (event.kind === "jobs-added" || event.kind === "matrix-added") gap = true;
    }
    if (changed.size > QUEUED_JOBS_MAX) {
      changed.clear();
      gap = true;
    }
    wake();
  });
  const wakeNow = (): void => wake();
  context.signal.addEventListener("abort", wakeNow);
  try {
    await context.emit({ kind: "counts", counts: { ...engine.state.counts } });
    while (!context.signal.aborted) {
      const jids = [...changed];
      changed.clear();
      if (gap) await context.emit({ kind: "gap" });
      gap = false;
      for (const jid of jids) {
        const job = engine.state.jobs.get(jid);
        // It has left the memory before this reader was ready for it, or it is forgotten.
        if (job === undefined) gap = true;
        else await context.emit({ kind: "job", job: jobView(engine.state, job, now()) });
      }
      if (jids.length > 0) await context.emit({ kind: "counts", counts: { ...engine.state.counts } });
      if (changed.size > 0 || gap) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return {};
  } finally {
    unsubscribe();
    context.signal.removeEventListener("abort", wakeNow);
  }
}
