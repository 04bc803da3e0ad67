/**
 * One folder for all that a run of the bench makes: it is TMPDIR for everybody. Whoever lives in it is known by its
 * environment or its command line, so that a bench that is interrupted leaves neither processes nor files.
 */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sendSignal } from "../../scripts/process-tree.ts";

const LOOKS = 20;

export class RunFolder implements Disposable {
  private readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "expjob-bench-")));

  constructor() {
    process.env["TMPDIR"] = this.folder;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => {
        this[Symbol.dispose]();
        // As a program dies that does not look after it.
        process.kill(process.pid, signal);
      });
    }
  }

  /** SIGKILL to all who are left, again until nobody is: one may just have started another. */
  [Symbol.dispose](): void {
    for (let look = 0; look < LOOKS && this.killAll() > 0; look += 1) Bun.spawnSync(["sleep", "0.05"]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private killAll(): number {
    const left = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && this.isOurs(name));
    for (const pid of left) sendSignal(Number(pid), "SIGKILL");
    return left.length;
  }

  private isOurs(pid: string): boolean {
    try {
      const text = readFileSync(`/proc/${pid}/environ`, "latin1") + readFileSync(`/proc/${pid}/cmdline`, "latin1");
      return text.includes(`${this.folder}/`);
    } catch {
      // Gone, or another user's.
      return false;
    }
  }
}
