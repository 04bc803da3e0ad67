/** `job mvresults`: results and logs of ended jobs, moved to another folder of the server's host. */
import type { Run } from "../command.ts";
import type { takeResultsArguments } from "./arguments.ts";
import { takeResults } from "./take-results.ts";

export const run: Run<typeof takeResultsArguments> = (args, context) => takeResults(args, "move", context);
