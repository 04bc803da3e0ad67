/** `job why`: the reasons why jobs do not run. */
import { renderWhy } from "../../terminal/job-why.ts";
import { noticeWords } from "../../terminal/notice.ts";
import type { Run } from "../command.ts";
import { parseIds } from "../ids.ts";
import { reportMissing } from "../report.ts";
import type { whyArguments } from "./arguments.ts";

export const run: Run<typeof whyArguments> = async (args, { output, withClient }) => {
  const ids = parseIds(args.ids);
  const { answers, missing } = await withClient((client) => client.call("job.why", { ids }));
  if (output.json) {
    output.printJson(
      answers.map(({ jid, status, reasons }) => ({
        jid,
        status,
        reasons: reasons.map((reason) => ({ ...reason, ...noticeWords(reason) })),
      })),
    );
  } else if (answers.length > 0) output.print(renderWhy(answers, await output.screen()));
  return reportMissing(missing, output);
};
