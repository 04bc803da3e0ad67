/** A matrix with all its jobs, which come in chunks. */
import type { Client } from "../../client/client.ts";
import type { WireJob } from "../../protocol/methods/job.ts";
import type { WireMatrix } from "../../protocol/methods/matrix.ts";

export async function readMatrix(client: Client, id: number): Promise<{ readonly matrix: WireMatrix; readonly jobs: WireJob[] }> {
  const stream = client.stream("matrix.list", { id });
  const jobs: WireJob[] = [];
  for await (const chunk of stream) jobs.push(...chunk);
  const { matrix } = await stream.result;
  return { matrix, jobs };
}
