/** A temporary folder in which a peer lives: its home, its sockets, its state. It goes with all that was started in it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markedProcesses } from "../../support/daemon.ts";
import { isAlive } from "../../support/sshd.ts";
import { waitFor } from "../../support/wait-for.ts";

export class Workshop implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-bench-peer-"));

  /** For every program of the peer. @param more of the peer's own */
  environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    const { folder } = this;
    // The variable is how what the peer leaves behind is found.
    const base = {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      TMPDIR: folder,
      LANG: "C.UTF-8",
      SHELL: "/bin/sh",
      TEST_DAEMON_FOLDER: folder,
    };
    return { ...base, ...more };
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** A program that stays. */
  start(command: readonly string[], environment: Record<string, string>): Bun.Subprocess<"pipe", "pipe", number> {
    const log = Bun.file(this.path("stderr"));
    return Bun.spawn([...command], { cwd: this.folder, env: environment, stdio: ["pipe", "pipe", log] }) as unknown as Bun.Subprocess<
      "pipe",
      "pipe",
      number
    >;
  }

  /** Must end with 0. @returns stdout, trimmed */
  async run(command: readonly string[], environment: Record<string, string>): Promise<string> {
    const child = Bun.spawn([...command], { cwd: this.folder, env: environment, stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (code !== 0) throw new Error(`${command.join(" ").slice(0, 200)}: exit ${code} ${stderr}`);
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await waitFor(
      () => {
        const left = markedProcesses(this.folder);
        for (const pid of left) if (isAlive(pid)) kill(pid);
        return left.length === 0;
      },
      { everyMs: 50 },
    );
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
