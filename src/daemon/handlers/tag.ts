/** What people ask of tags: made, filled and emptied by hand, listed in chunks. */
import { addCounts } from "../../core/apply-job.ts";
import { isEnded } from "../../core/job.ts";
import type { Tag } from "../../core/state.ts";
import { RequestError } from "../../protocol/error.ts";
import type { JobChanges } from "../../protocol/methods/job.ts";
import type { tagMethods, WireTag } from "../../protocol/methods/tag.ts";
import type { Selector } from "../../protocol/selector.ts";
import type { Handlers } from "../server/handler.ts";
import { isoTime, jobView } from "../views/job.ts";
import { perJob } from "./per-job.ts";
import { chunked } from "./reply-size.ts";
import { requestIdReused } from "./request-id.ts";
import type { Services } from "./services.ts";

export function tagHandlers(services: Services): Pick<Handlers, keyof typeof tagMethods> {
  const { engine, book, now } = services;

  const tagJobs = async (ids: readonly Selector[], tag: number | null, requestId: string | null): Promise<JobChanges> => {
    const resolved = await book.resolve(ids);
    const past = new Map(resolved.jobs.filter((job) => isEnded(job.state)).map((job) => [job.jid, job]));
    return await perJob(services, requestId, {
      resolved,
      concerns: (job) => job.tag !== tag,
      command: (jids, lenient) => ({ kind: "tag-jobs", jids, recalled: jids.flatMap((jid) => past.get(jid) ?? []), lenient, tag }),
    });
  };

  const withCounts = async ({ id, created, jids }: Tag): Promise<WireTag> => {
    const members = jids.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
    return { id, created: isoTime(created), counts: addCounts([...(await book.get(members)).values()]) };
  };

  return {
    "tag.new": async (_params, { requestId }) => {
      const answer = await engine.submit({ kind: "add-tag" }, requestId);
      if (answer.kind !== "tag") throw requestIdReused(answer);
      return { id: answer.id };
    },
    "tag.set": ({ ids, tag }, { requestId }) => tagJobs(ids, tag, requestId),
    "tag.unset": ({ ids }, { requestId }) => tagJobs(ids, null, requestId),
    "tag.list": async ({ id }, { emit }) => {
      const tag = engine.state.tags.get(id);
      if (tag === undefined) throw new RequestError("no-such-tag", { id });
      const { jobs } = await book.resolve([{ kind: "id", id }]);
      for (const chunk of chunked(jobs, (job) => jobView(engine.state, job, now()))) await emit(chunk);
      return { tag: { id, created: isoTime(tag.created), counts: addCounts(jobs) } };
    },
    "tag.all": async (_params, { emit }) => {
      const tags: WireTag[] = [];
      for (const tag of engine.state.tags.values()) tags.push(await withCounts(tag));
      for (const chunk of chunked(tags, (tag) => tag)) await emit(chunk);
      return {};
    },
  };
}
