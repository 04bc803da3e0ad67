/** GNU parallel: a list on stdin, 16 at a time. It keeps nothing once it has ended. */
import { type Absent, type Subject, timed } from "../measure.ts";
import { programOrAbsent } from "./install.ts";
import { SLOTS } from "./slots.ts";
import { Workshop } from "./workshop.ts";

const NAME = "GNU parallel";

export async function gnuParallel(jobs: number): Promise<Subject | Absent> {
  const program = await programOrAbsent("parallel", { name: NAME, apt: "parallel" });
  if (typeof program !== "string") return program;
  const workshop = new Workshop();
  const command = ["sh", "-c", `seq ${jobs} | "$0" --will-cite -j${SLOTS} -N0 true`, program];
  return {
    name: NAME,
    how: `seq ${jobs} | parallel -j${SLOTS} -N0 true`,
    once: async () => [(jobs * 1_000) / (await timed(() => workshop.run(command, workshop.environment())))],
    [Symbol.asyncDispose]: () => workshop[Symbol.asyncDispose](),
  };
}
