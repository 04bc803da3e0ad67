/** `job cpresults`: results and logs of ended jobs, copied to another folder of the server's host. */
import type { Run } from "../command.ts";
import type { takeResultsArguments } from "./arguments.ts";
import { takeResults } from "./take-results.ts";

export const run: Run<typeof takeResultsArguments> = (args, context) => takeResults(args, "copy", context);
