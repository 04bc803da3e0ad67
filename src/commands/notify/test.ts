/** `notify test`: do notifications arrive? Exits with 1 when a webhook fails, or when there is none. */
import { renderTestedWebhooks } from "../../terminal/webhook-test.ts";
import type { Run } from "../command.ts";
import { Failure } from "../failure.ts";
import type { NoArguments } from "../server/arguments.ts";

export const run: Run<NoArguments> = async (_args, { output, withClient }) => {
  const { webhooks } = await withClient((client) => client.call("notify.test", {}));
  if (webhooks.length === 0) {
    throw new Failure(
      "no-webhooks",
      "The server has no webhook to send to.",
      "Set SLACK_API, or [[notify.webhooks]] in config.toml, and start it again.",
      1,
    );
  }
  if (output.json) output.printJson(webhooks);
  else if (output.quiet) output.printLines(webhooks.filter(({ error }) => error !== null).map(({ host }) => host));
  else output.print(renderTestedWebhooks(webhooks, await output.screen()));
  return webhooks.every(({ error }) => error === null) ? 0 : 1;
};
