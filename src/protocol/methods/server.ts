/** What can be asked of the server itself. */
import * as v from "valibot";
import { mutates, reads } from "../method.ts";
import { countsSchema } from "./job.ts";

export const serverMethods = {
  "server.ping": reads(v.object({}), v.object({ version: v.string() })),
  "server.status": reads(
    v.object({}),
    v.object({
      version: v.string(),
      pid: v.number(),
      started: v.string(),
      address: v.string(),
      state_dir: v.string(),
      log_dir: v.string(),
      token_file: v.string(),
      config_file: v.nullable(v.string()),
      runner: v.nullable(v.string()),
      memory_bytes: v.number(),
      jobs: countsSchema,
      machines: v.object({ free: v.number(), busy: v.number(), quarantined: v.number(), unreachable: v.number() }),
      /** Conditions a person should know of, e.g. "no-space"; empty when all is well. */
      conditions: v.array(v.object({ code: v.string(), data: v.record(v.string(), v.string()) })),
    }),
  ),
  /** Answers before it stops; jobs that run go on. */
  "server.stop": mutates(v.object({}), v.object({ pid: v.number() })),
};
