/** `--dry-run` of `job add` and `job matrix add`: what would be queued, as the server sees it. Nothing is. */
import type { Params } from "../../protocol/methods.ts";
import { printable } from "../../terminal/printable.ts";
import type { Context } from "../context.ts";
import { warnAll } from "../report.ts";

/** @returns the exit code */
export async function showPreview(request: Params<"job.preview">, { output, withClient }: Context): Promise<number> {
  const { count, first, last, warnings } = await withClient((client) => client.call("job.preview", request));
  warnAll(warnings, output);
  if (output.json) output.printJson({ count, first, last });
  else if (output.quiet) output.print(String(count));
  else {
    const jobs = count === 1 ? "1 job" : `${count} jobs`;
    const lines = count === 1 ? [["It", first] as const] : [["First", first] as const, ["Last", last] as const];
    output.printLines([
      `Would queue ${jobs} in class ${printable(request.class)}`,
      ...lines.map(([name, job]) => `${`${name}:`.padEnd(count === 1 ? 4 : 7)}${printable(job.command_line)}${target(job.cp_results)}`),
    ]);
  }
  return 0;
}

function target(path: string | null): string {
  return path === null ? "" : `  (results to ${printable(path)})`;
}
