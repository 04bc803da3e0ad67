/** The commands of `notify`, as help and parsing need them. */
import { entryOf, type Group, leaf } from "./command.ts";
import { NO_ARGUMENTS } from "./server/arguments.ts";

const test = leaf({
  name: "test",
  summary: "Sends a test message to each webhook of the server, and says which arrived.",
  details: "Webhooks are [[notify.webhooks]] in the server's config.toml, and SLACK_API in its environment. Exit code 1 when one fails.",
  example: "j notify test",
  arguments: NO_ARGUMENTS,
  load: () => import("./notify/test.ts"),
});

export const notify: Group = {
  kind: "group",
  name: "notify",
  summary: "Notifications to Slack and other webhooks.",
  example: "j notify test",
  commands: [entryOf(test)],
};
