/** `machine check`: tries to reach machines now; exits with 1 when one cannot be used. */
import { RequestError } from "../../protocol/error.ts";
import { renderChecks } from "../../terminal/machine-check.ts";
import { problemWords } from "../../terminal/problem.ts";
import type { Run } from "../command.ts";
import { reportRefused } from "../report.ts";
import type { checkArguments } from "./arguments.ts";

export const run: Run<typeof checkArguments> = async ({ addrs }, { output, withClient }) => {
  const { results, missing } = await withClient((client) => client.call("machine.check", { addrs: [...addrs] }));
  const bad = results.filter((result) => result.problem !== null);
  if (output.json) {
    output.printJson(
      results.map(({ problem, ...rest }) => {
        const words = problem === null ? null : problemWords(problem);
        return { ...rest, code: problem?.code ?? null, error: words?.message ?? null, hint: words?.hint ?? null };
      }),
    );
  } else if (output.quiet) output.printLines(bad.map((result) => result.addr));
  else output.print(renderChecks(results, await output.screen()));
  const refused = reportRefused(
    missing.map((addr) => new RequestError("no-such-machine", { addr })),
    output,
  );
  return bad.length === 0 ? refused : 1;
};
