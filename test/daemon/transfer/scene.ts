/** Jobs that have ended, with real results and logs, for what takes them elsewhere. The machine is a folder of this host. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type CopiedResults, type Job, runOf } from "../../../src/core/job.ts";
import { problem } from "../../../src/core/problem.ts";
import { CopyQueue } from "../../../src/daemon/copier/copy-queue.ts";
import type { TransferRequest, Transferred } from "../../../src/daemon/transferred.ts";
import { Assembly, type AssemblyOptions } from "../assembly.ts";

export type Files = Readonly<Record<string, string>>;

export class Scene implements AsyncDisposable {
  private constructor(public daemon: Assembly) {}

  /** A real copier on fake hosts. @param options.isTargetFull every copy at the end of a job fails */
  static async open({ isTargetFull = false }: { isTargetFull?: boolean } = {}): Promise<Scene> {
    let copies = 0;
    const queue = new CopyQueue();
    const copy: AssemblyOptions["copy"] = async (options) => {
      copies += 1;
      const fails = isTargetFull && copies === 1;
      if (!fails) return await queue.copy(options);
      return { kind: "failed", problem: problem("target-unwritable", { path: options.target, message: "no space" }), retryable: true };
    };
    const daemon = await Assembly.open({ copy });
    await daemon.pool("x", "far");
    return new Scene(daemon);
  }

  path(...names: string[]): string {
    return join(this.daemon.folder, ...names);
  }

  /** Ran to its end, with what it wrote on the machine. @returns its id */
  async ended(
    files: Files,
    options: { copyTo?: string | null; prints?: readonly string[]; exitCode?: number; cmd?: string } = {},
  ): Promise<number> {
    const { copyTo = this.path("results"), prints = ["out"], exitCode = 0, cmd = "true" } = options;
    for (const [name, text] of Object.entries(files)) write(this.path("machine", name), text);
    const { jid, runId } = await this.daemon.running({ copyTo, cmd });
    this.daemon.printed(jid, `of job ${jid}\n${prints.map((prefix) => `RESULTS: ${this.path("machine", prefix)}\n`).join("")}`);
    writeFileSync(this.daemon.run(jid).errLog, `errors of job ${jid}\n`);
    this.daemon.hosts.finish(runId, exitCode);
    await this.daemon.untilEnded(jid);
    return jid;
  }

  async take(jid: number, to: string, mode: TransferRequest["mode"] = "copy", signal = new AbortController().signal): Promise<Transferred> {
    return await this.daemon.transfer.take({ jid, to, mode, signal });
  }

  async job(jid: number): Promise<Job> {
    return await this.daemon.book.one(jid);
  }

  async results(jid: number): Promise<CopiedResults> {
    const { state } = await this.job(jid);
    if (state.kind !== "done" || state.results === null) throw new Error(`job ${jid} has no results: ${JSON.stringify(state)}`);
    return state.results;
  }

  async logs(jid: number): Promise<readonly string[]> {
    const run = runOf((await this.job(jid)).state);
    return run === null ? [] : [run.log, run.errLog];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
  }
}

export function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Path and content of every file below a folder; what is ours is left out. */
export function contents(folder: string, prefix = ""): Record<string, string> {
  if (!existsSync(join(folder, prefix))) return {};
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = join(prefix, entry.name);
    if (path === ".expjobserver") continue;
    if (entry.isDirectory()) Object.assign(found, contents(folder, path));
    else found[path] = readFileSync(join(folder, path), "utf8");
  }
  return found;
}
