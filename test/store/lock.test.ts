/** The lock of the state directory: one holder, freed by any death, not kept by children. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DirectoryLock } from "../../src/store/lock.ts";
import { waitFor } from "../support/wait-for.ts";
import { Scratch } from "./scratch.ts";

const PROGRAM = join(import.meta.dir, "hold-lock.ts");

function start(file: string, company: "alone" | "with-child") {
  return Bun.spawn([process.execPath, PROGRAM, file, company], { stdout: "pipe", stderr: "inherit" });
}

async function firstLine(process: ReturnType<typeof start>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of process.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return text.trim();
}

describe("the lock", () => {
  test("refuses a second holder at once, in the same process and in another, and says who holds it", async () => {
    using scratch = new Scratch();
    const file = scratch.path("lock");
    const lock = DirectoryLock.take(file);
    expect(() => DirectoryLock.take(file)).toThrow(expect.objectContaining({ code: "locked", data: { file, pid: process.pid } }));
    const other = start(file, "alone");
    expect(await firstLine(other)).toBe(`refused ${process.pid}`);
    await other.exited;
    // Reading the file and closing it again does not free it.
    expect(readFileSync(file, "utf8")).toBe(`${process.pid}\n`);
    expect(() => DirectoryLock.take(file)).toThrow("locked");
    lock.release();
    lock.release();
    DirectoryLock.take(file).release();
  });

  test("is held by exactly one of 20 processes that start together, whoever was killed before", async () => {
    using scratch = new Scratch();
    for (let round = 0; round < 3; round++) {
      const racers = Array.from({ length: 20 }, () => start(scratch.path("lock"), "alone"));
      const lines = await Promise.all(racers.map(firstLine));
      for (const racer of racers) racer.kill("SIGKILL");
      await Promise.all(racers.map((racer) => racer.exited));
      expect(lines.filter((line) => line.startsWith("held"))).toHaveLength(1);
      expect(lines.filter((line) => line.startsWith("refused"))).toHaveLength(19);
    }
  }, 120_000);

  test("is free when its holder is killed, though a child of the holder lives", async () => {
    using scratch = new Scratch();
    const holder = start(scratch.path("lock"), "with-child");
    const child = Number((await firstLine(holder)).split(" ")[1]);
    try {
      holder.kill("SIGKILL");
      await holder.exited;
      await waitFor(() => readFileSync(`/proc/${child}/comm`, "utf8") === "sleep\n");
      expect(() => DirectoryLock.take(scratch.path("lock")).release()).not.toThrow();
    } finally {
      process.kill(child, "SIGKILL");
    }
  });

  test.skipIf(Bun.which("flock") === null)(
    "left for a moment by a dead holder to its child is waited for; by a living one it is not",
    async () => {
      using scratch = new Scratch();
      const file = scratch.path("lock");
      const dead = Bun.spawn(["true"]);
      await dead.exited;
      writeFileSync(file, `${dead.pid}\n`, { mode: 0o600 });
      const child = Bun.spawn(["flock", file, "sh", "-c", "echo held; sleep 0.3"], { stdout: "pipe" });
      await child.stdout.getReader().read();
      DirectoryLock.take(file).release();
      await child.exited;
      writeFileSync(file, `${process.pid}\n`);
      const other = Bun.spawn(["flock", file, "sh", "-c", "echo held; read x"], { stdin: "pipe", stdout: "pipe" });
      await other.stdout.getReader().read();
      expect(() => DirectoryLock.take(file)).toThrow("locked");
      await other.stdin.end();
      await other.exited;
    },
  );
});
