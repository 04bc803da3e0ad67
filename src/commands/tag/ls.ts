/** `tag ls`: the jobs of a tag, or all tags. */
import type { Client } from "../../client/client.ts";
import type { WireJob } from "../../protocol/methods/job.ts";
import type { WireTag } from "../../protocol/methods/tag.ts";
import { jobJson } from "../../terminal/job-json.ts";
import { renderTagListing, renderTagTable } from "../../terminal/tag-listing.ts";
import type { Run } from "../command.ts";
import type { Context } from "../context.ts";
import { parseId } from "../ids.ts";
import type { listArguments } from "./arguments.ts";

export const run: Run<typeof listArguments> = async (args, context) => {
  if (args.id === undefined) await listAll(context);
  else await listOne(parseId(args.id, "tag"), context);
  return 0;
};

async function listAll({ output, withClient }: Context): Promise<void> {
  const tags = await withClient(async (client) => {
    const received: WireTag[] = [];
    for await (const chunk of client.stream("tag.all", {})) received.push(...chunk);
    return received;
  });
  if (output.json) output.printJson(tags);
  else if (output.quiet) output.printLines(tags.map(({ id }) => String(id)));
  else output.print(renderTagTable(tags, await output.screen()));
}

async function listOne(id: number, { output, withClient }: Context): Promise<void> {
  const { tag, jobs } = await withClient((client) => readTag(client, id));
  if (output.json) output.printJson({ ...tag, jobs: jobs.map(jobJson) });
  else if (output.quiet) output.printLines(jobs.map((job) => String(job.jid)));
  else output.print(renderTagListing(tag, jobs, await output.screen()));
}

async function readTag(client: Client, id: number): Promise<{ readonly tag: WireTag; readonly jobs: readonly WireJob[] }> {
  const stream = client.stream("tag.list", { id });
  const jobs: WireJob[] = [];
  for await (const chunk of stream) jobs.push(...chunk);
  return { tag: (await stream.result).tag, jobs };
}
