/** The battery that every MachineShell passes: over SSH to a real sshd and to the embedded server, and on this host. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MachineShell, ShellProcess } from "../../src/daemon/machine-shell.ts";
import { isAlive } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

export interface ShellUnderTest {
  readonly shell: MachineShell;
  close(): Promise<void>;
}

export async function readAll(output: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of output) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Runs to the end; for scripts that write little on standard error. */
export async function runToEnd(
  shell: MachineShell,
  script: string,
  input?: Uint8Array | string,
): Promise<{ stdout: string; stderr: string; status: number }> {
  const process = await shell.run(script, input === undefined ? {} : { input });
  const [stdout, stderr, status] = await Promise.all([readAll(process.stdout), process.collectStderr(10_000), process.exited]);
  return { stdout: stdout.toString(), stderr, status };
}

export function machineShellContract(name: string, open: () => Promise<ShellUnderTest>): void {
  setDefaultTimeout(120_000);
  describe(`machine shell contract: ${name}`, () => {
    let under: ShellUnderTest;
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "expjob-shell-"));
      under = await open();
    });
    afterAll(async () => {
      await under.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const run = (script: string, input?: Uint8Array | string) => runToEnd(under.shell, script, input);

    test("a script's output and status come back, and both outputs stay apart", async () => {
      expect(await run("echo out; echo err >&2; exit 3")).toEqual({ stdout: "out\n", stderr: "err\n", status: 3 });
    });

    test.each([0, 1, 126, 127, 128, 255])("status %d is reported as it is", async (status) => {
      expect((await run(`exit ${status}`)).status).toBe(status);
    });

    test.each([
      ["KILL", 137],
      ["TERM", 143],
      ["HUP", 129],
    ])("death by SIG%s is 128 and the signal's number", async (signal, status) => {
      expect((await run(`kill -${signal} $$; sleep 10`)).status).toBe(status as number);
    });

    test("nothing in a script is changed on its way", async () => {
      const hard = "a'b\"c\\d\\\\e\\n%s %% $HOME `id` $(id) !! \t é 漢 \\0101 \\c end";
      const script = `cat <<'END OF TEXT'\n${hard}\nsecond line\n\nEND OF TEXT\n`;
      expect((await run(script)).stdout).toBe(`${hard}\nsecond line\n\n`);
    });

    test("a script of 200 kB runs", async () => {
      const lines = Array.from({ length: 10_000 }, (_, index) => `: line ${index} '${index}'`);
      expect((await run(`${lines.join("\n")}\necho end`)).stdout).toBe("end\n");
    });

    test("a script that is no shell text fails with a status and a message", async () => {
      const { status, stderr } = await run("if then (");
      expect(status).not.toBe(0);
      expect(stderr).not.toBe("");
    });

    test("without input the script sees its end", async () => {
      expect(await run("cat; echo end")).toEqual({ stdout: "end\n", stderr: "", status: 0 });
    });

    test("input arrives byte for byte, whatever the bytes", async () => {
      const input = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), randomBytes(3_000_000)]);
      const process = await under.shell.run("cat", { input });
      const [stdout, stderr, status] = await Promise.all([readAll(process.stdout), process.collectStderr(1000), process.exited]);
      expect(createHash("sha256").update(stdout).digest("hex")).toBe(createHash("sha256").update(input).digest("hex"));
      expect([stderr, status]).toEqual(["", 0]);
    });

    test("a conversation is possible while the input stays open", async () => {
      const process = await under.shell.run('while IFS= read -r line; do echo "got $line"; done; echo bye', { keepInputOpen: true });
      const output = process.stdout[Symbol.asyncIterator]();
      for (const word of ["one", "two"]) {
        await process.write(`${word}\n`);
        expect(Buffer.from((await output.next()).value ?? []).toString()).toBe(`got ${word}\n`);
      }
      process.closeInput();
      expect(Buffer.from((await output.next()).value ?? []).toString()).toBe("bye\n");
      expect((await output.next()).done).toBe(true);
      expect(await process.collectStderr(100)).toBe("");
      expect(await process.exited).toBe(0);
    });

    test("writing to a script that has ended does no harm", async () => {
      const process = await under.shell.run("exit 5", { keepInputOpen: true });
      expect(await process.exited).toBe(5);
      await process.write("too late\n");
      await process.write(Buffer.alloc(5_000_000));
      process.closeInput();
      process.kill();
      expect(await process.exited).toBe(5);
    });

    test("output that is read only after the end is whole", async () => {
      const process = await under.shell.run("echo early; echo late >&2");
      expect(await process.exited).toBe(0);
      expect((await readAll(process.stdout)).toString()).toBe("early\n");
      expect(await process.collectStderr(100)).toBe("late\n");
    });

    test("of a flood on standard error the first bytes are kept and nothing stalls", async () => {
      const process = await under.shell.run("head -c 20000000 /dev/zero | tr '\\0' e >&2; echo end");
      const [stderr, stdout] = await Promise.all([process.collectStderr(100), readAll(process.stdout)]);
      expect([stderr, stdout.toString()]).toEqual(["e".repeat(100), "end\n"]);
      expect(await process.exited).toBe(0);
    });

    test("floods on both outputs at once arrive whole", async () => {
      const process = await under.shell.run("head -c 12000000 /dev/zero & head -c 12000000 /dev/zero >&2 & wait; echo end; echo end >&2");
      const [stdout, stderr, status] = await Promise.all([readAll(process.stdout), process.collectStderr(20_000_000), process.exited]);
      expect([stdout.length, stderr.length, status]).toEqual([12_000_004, 12_000_004, 0]);
    });

    test("output that is not read is not fetched, and is whole when it is read", async () => {
      const progress = join(folder, "progress");
      const process = await under.shell.run(
        'IFS= read -r file; i=0; while [ $i -lt 400 ]; do head -c 100000 /dev/zero; i=$((i+1)); echo >> "$file"; done',
        { input: `${progress}\n` },
      );
      const blocks = (): number => statSync(progress, { throwIfNoEntry: false })?.size ?? 0;
      let [last, unchanged] = [0, 0];
      await waitFor(() => {
        const now = blocks();
        unchanged = now === last && now > 0 ? unchanged + 1 : 0;
        last = now;
        return unchanged >= 30;
      });
      expect(blocks()).toBeLessThan(150);
      expect((await readAll(process.stdout)).length).toBe(40_000_000);
      expect(await process.exited).toBe(0);
    });

    test("the script stands in no list of arguments", async () => {
      const secret = randomBytes(8).toString("hex");
      const { stdout } = await run(`: ${secret}\nfor file in /proc/$$/cmdline /proc/$PPID/cmdline; do tr '\\0' ' ' < $file; echo; done`);
      expect(stdout).toContain("read -r s");
      expect(stdout).not.toContain(secret);
    });

    test("kill ends a run at once, and a script that waits for input or writes output with it", async () => {
      const process = await under.shell.run("echo $$; exec cat", { keepInputOpen: true });
      const output = process.stdout[Symbol.asyncIterator]();
      const pid = Number(Buffer.from((await output.next()).value ?? []).toString());
      expect(isAlive(pid)).toBe(true);
      process.kill();
      process.kill();
      expect(await process.exited).toBe(137);
      expect((await output.next()).done).toBe(true);
      await waitFor(() => !isAlive(pid));
    });

    test("kill does not wait for a script that does not notice", async () => {
      const process = await under.shell.run("echo $$; exec sleep 1000");
      const output = process.stdout[Symbol.asyncIterator]();
      const pid = Number(Buffer.from((await output.next()).value ?? []).toString());
      process.kill();
      expect(await process.exited).toBe(137);
      expect((await run('kill -9 "$(cat)" 2>/dev/null; echo next', String(pid))).stdout).toBe("next\n");
      await waitFor(() => !isAlive(pid));
    });

    test("thirty scripts at once all come to their own end", async () => {
      const results = await Promise.all(Array.from({ length: 30 }, (_, index) => run(`cat; exit ${index}`, `input ${index}`)));
      expect(results).toEqual(Array.from({ length: 30 }, (_, index) => ({ stdout: `input ${index}`, stderr: "", status: index })));
    });

    test("a script that is refused its input does not stop the next one", async () => {
      const processes: ShellProcess[] = [];
      for (let round = 0; round < 3; round += 1)
        processes.push(await under.shell.run("exec <&-; exit 0", { input: Buffer.alloc(4_000_000) }));
      expect(await Promise.all(processes.map((process) => process.exited))).toEqual([0, 0, 0]);
      expect((await run("echo next")).stdout).toBe("next\n");
    });
  });
}
