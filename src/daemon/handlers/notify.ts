/** What people ask of notifications: do they arrive? */
import type { Handlers } from "../server/handler.ts";
import type { Services } from "./services.ts";

type NotifyHandlers = Pick<Handlers, "notify.test">;

export function notifyHandlers({ testWebhooks }: Services): NotifyHandlers {
  return {
    "notify.test": async (_params, { signal }) => {
      const tested = await testWebhooks(signal);
      return {
        webhooks: tested.map(({ webhook, outcome }) => ({
          kind: webhook.kind,
          host: webhook.host,
          error: outcome.kind === "sent" ? null : outcome.reason,
        })),
      };
    },
  };
}
