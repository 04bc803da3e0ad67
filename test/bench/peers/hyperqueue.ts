/**
 * HyperQueue as PyPI has it: a library, without the `hq` program. Server and worker are threads of one Python process,
 * which is not how a cluster runs it; the row says so. Without a journal, which is its default.
 */
import { type Absent, type Subject, timed } from "../measure.ts";
import { pythonWithOrAbsent } from "./install.ts";
import { SLOTS } from "./slots.ts";
import { Workshop } from "./workshop.ts";

/** A line is a number of jobs; the answer comes when all have ended. */
const PROGRAM = `
import sys
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
import hyperqueue.client
hyperqueue.client.create_progress_callback = lambda: (lambda jobs: None)
folder, slots = sys.argv[1], int(sys.argv[2])
with LocalCluster(server_dir=folder, worker_config=WorkerConfig(cores=slots)) as cluster:
    client = cluster.client()
    print("ready", flush=True)
    for line in sys.stdin:
        job = Job(default_workdir=folder)
        for _ in range(int(line)):
            job.program(["true"])
        client.wait_for_jobs([client.submit(job)])
        print("done", flush=True)
`;

export async function hyperQueue(jobs: number): Promise<Subject | Absent> {
  const python = await pythonWithOrAbsent("hyperqueue");
  if (typeof python !== "string") return { ...python, name: "HyperQueue" };
  const workshop = new Workshop();
  const child = workshop.start([python, "-c", PROGRAM, workshop.folder, String(SLOTS)], workshop.environment());
  const said = new Words(child.stdout);
  await said.until("ready");
  return {
    name: "HyperQueue",
    how: `the Python package's LocalCluster (server and one worker of ${SLOTS} cores as threads of one process, no journal); one job of ${jobs} tasks \`true\`, output to files, wait_for_jobs`,
    once: async () => {
      const durationMs = await timed(async () => {
        child.stdin.write(`${jobs}\n`);
        child.stdin.flush();
        await said.until("done");
      });
      return [(jobs * 1_000) / durationMs];
    },
    [Symbol.asyncDispose]: () => workshop[Symbol.asyncDispose](),
  };
}

/** Lines of a program's output, one after the other. */
class Words {
  private text = "";
  private readonly reader;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  async until(word: string): Promise<void> {
    while (!this.text.includes(`${word}\n`)) {
      const { value, done } = await this.reader.read();
      if (done) throw new Error(`it ended before it said "${word}"`);
      this.text += value;
    }
    this.text = this.text.slice(this.text.indexOf(`${word}\n`) + word.length + 1);
  }
}
