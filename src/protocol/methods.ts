/** Every request and reply there is. Client calls and the handler table take their types from here. */
import type * as v from "valibot";
import { completionMethods } from "./methods/completion.ts";
import { jobMethods } from "./methods/job.ts";
import { jobLifeMethods } from "./methods/job-life.ts";
import { jobLogMethods } from "./methods/job-log.ts";
import { jobResultsMethods } from "./methods/job-results.ts";
import { jobStatMethods } from "./methods/job-stat.ts";
import { machineMethods } from "./methods/machine.ts";
import { matrixMethods } from "./methods/matrix.ts";
import { notifyMethods } from "./methods/notify.ts";
import { serverMethods } from "./methods/server.ts";
import { tagMethods } from "./methods/tag.ts";
import { variableMethods } from "./methods/variable.ts";

export const METHODS = {
  ...serverMethods,
  ...variableMethods,
  ...machineMethods,
  ...jobMethods,
  ...jobLifeMethods,
  ...jobLogMethods,
  ...jobStatMethods,
  ...jobResultsMethods,
  ...matrixMethods,
  ...tagMethods,
  ...completionMethods,
  ...notifyMethods,
} as const;

export type Methods = typeof METHODS;
export type MethodName = keyof Methods;
export type Params<M extends MethodName> = v.InferOutput<Methods[M]["params"]>;
export type Result<M extends MethodName> = v.InferOutput<Methods[M]["result"]>;
export type StreamName = { [M in MethodName]: Methods[M] extends { chunk: v.GenericSchema } ? M : never }[MethodName];
export type Chunk<M extends StreamName> = v.InferOutput<Methods[M]["chunk"]>;
