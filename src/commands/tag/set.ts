/** `tag set`: puts jobs in a tag, out of the one they were in. */
import type { Run } from "../command.ts";
import { UsageError } from "../failure.ts";
import { parseId, parseIds } from "../ids.ts";
import { reportChanged } from "../job/changed.ts";
import type { setArguments } from "./arguments.ts";

export const run: Run<typeof setArguments> = async ({ words }, { output, withClient }) => {
  const last = words.at(-1);
  if (last === undefined || words.length < 2) {
    throw new UsageError("`j job tag set` needs a job and a tag.", "Write j job tag set JID... TAG: the tag stands last.");
  }
  const tag = parseId(last, "tag");
  const ids = parseIds(words.slice(0, -1));
  const changed = await withClient((client) => client.call("tag.set", { ids, tag }));
  return reportChanged(changed, `Put in tag ${tag}:`, output);
};
