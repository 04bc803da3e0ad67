/** The floor of every program of ours: an empty one, compiled by the same build line in the same run. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBinary } from "../../scripts/build-binary.ts";

export class EmptyProgram implements AsyncDisposable {
  private constructor(
    private readonly folder: string,
    readonly path: string,
  ) {}

  static async build(): Promise<EmptyProgram> {
    const folder = mkdtempSync(join(tmpdir(), "expjob-bench-empty-"));
    try {
      const { expjobserver } = await buildBinary({ entry: "test/bench/empty/main.ts", outfile: join(folder, "empty") });
      return new EmptyProgram(folder, expjobserver);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
    return Promise.resolve();
  }
}
