/** How tests open the ssh runner: a real sshd on this host, with a run root of its own. */
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { RunName } from "../../../src/daemon/runner/runner.ts";
import { SshRunner } from "../../../src/daemon/runner/ssh-runner.ts";
import type { SshLimits } from "../../../src/daemon/ssh/connection.ts";
import { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { runDirectoryName } from "../../../src/store/run-directory-name.ts";
import type { RunnerUnderTest } from "../../contract/runner-test-bed.ts";
import { type Sshd, startSshd } from "../../support/sshd.ts";

export interface SshSide {
  readonly configFile: string;
  readonly runRoot: string | null;
  readonly limits?: Partial<SshLimits>;
}

/** A runner with connections of its own. */
export class OwnSshRunner extends SshRunner implements Disposable {
  readonly #connections: SshConnections;

  constructor(side: SshSide) {
    const connections = new SshConnections({ settings: { configFile: side.configFile }, limits: { backoffFirstMs: 1, ...side.limits } });
    super({ shell: (machine) => connections.shell(machine), serverId: "server", runRoot: side.runRoot, now: Date.now });
    this.#connections = connections;
  }

  override close(): void {
    super.close();
    this.#connections.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

export interface SshRunnerUnderTest extends RunnerUnderTest {
  readonly runner: OwnSshRunner;
  readonly sshd: Sshd;
  readonly side: SshSide;
  reopen(): Promise<OwnSshRunner>;
}

export interface SshHarnessOptions {
  /** Text of a program that is executed for each command, in place of the login shell; the command is $SSH_ORIGINAL_COMMAND. */
  readonly login?: string;
  readonly configLines?: readonly string[];
  readonly home?: string;
  /** Below the machine's folder, to be awkward. */
  readonly runRoot?: string | null;
}

export function machineId(): string {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim() || hostname();
  } catch {
    return hostname();
  }
}

export async function openSshRunner(options: SshHarnessOptions = {}): Promise<SshRunnerUnderTest> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "expjob-ssh-")));
  const login = join(folder, "login");
  if (options.login !== undefined) {
    writeFileSync(login, options.login);
    chmodSync(login, 0o755);
  }
  const forced = options.login === undefined ? [] : [`ForceCommand ${login}`];
  const sshd = await startSshd({ configLines: [...(options.configLines ?? []), ...forced] });
  const runRoot = options.runRoot === null ? null : join(folder, options.runRoot ?? "runs");
  const home = options.home ?? sshd.home;
  const side = { configFile: sshd.client.configFile, runRoot };
  const opened: OwnSshRunner[] = [];
  const open = () => {
    const runner = new OwnSshRunner(side);
    opened.push(runner);
    return runner;
  };
  return {
    runner: open(),
    sshd,
    side,
    machine: sshd.machine,
    executes: true,
    program: (text) => ({ kind: "shell", text }),
    reopen: async () => open(),
    runDirectory: (run: RunName) =>
      join(runRoot ?? join(home, ".local/state/expjobserver/runs"), machineId(), "server", runDirectoryName(run)),
    workDirectory: realpathSync(home),
    environment: null,
    starterCommand: [process.execPath, join(import.meta.dir, "ssh-runner-starter.ts"), JSON.stringify(side)],
    close: async () => {
      for (const runner of opened) runner.close();
      await sshd.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
