/** What can be asked of notifications. */
import * as v from "valibot";
import { mutates } from "../method.ts";

export const notifyMethods = {
  /** Sends a test to each webhook, now and once. */
  "notify.test": mutates(
    v.object({}),
    v.object({
      webhooks: v.array(
        v.object({
          kind: v.string(),
          /** All that is shown of its URL. */
          host: v.string(),
          /** null: it arrived. */
          error: v.nullable(v.string()),
        }),
      ),
    }),
  ),
};
