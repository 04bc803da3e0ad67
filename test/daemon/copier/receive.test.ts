/** The same with few bytes, which are written at once, and with many, for which there is a thread. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomFillSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CopyProblem } from "../../../src/daemon/copier/copy-problem.ts";
import { type FileToReceive, receiveFiles } from "../../../src/daemon/copier/receive.ts";
import { sha256 } from "./copy-fixture.ts";

setDefaultTimeout(120_000);

class Reception implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "expjob-receive-"));
  readonly hashes: string[] = [];

  file(name: string, bytes: number, resumeBytes = 0): FileToReceive {
    return { source: `/there/${name}`, path: join(this.folder, name), bytes, resumeBytes, umask: 0o027 };
  }

  receive(files: readonly FileToReceive[], stream: AsyncIterable<Uint8Array>): Promise<number> {
    const onReceived = (index: number, hash: string): void => {
      this.hashes[index] = hash;
    };
    return receiveFiles({ machine: "m", files, stream, onReceived });
  }

  read(name: string): Buffer {
    return readFileSync(join(this.folder, name));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The bytes in pieces that fit no boundary, and then, perhaps, a failure. */
async function* pieces(bytes: Buffer, failure?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 77_777) yield bytes.subarray(at, at + 77_777);
  if (failure !== undefined) throw failure;
}

async function problemOf(receiving: Promise<unknown>): Promise<CopyProblem> {
  const error = await receiving.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CopyProblem)) throw new Error(`no problem, but ${String(error)}`);
  return error;
}

for (const [what, bytes] of [
  ["a small stream", 300_000],
  ["a large stream", 20_000_000],
] as const) {
  const content = randomFillSync(Buffer.alloc(bytes));

  describe(what, () => {
    test("is cut into its files, empty ones too, each with its hash and its mode", async () => {
      using here = new Reception();
      const sizes = [0, 5, 0, bytes - 70_005, 70_000, 0, 0];
      const files = sizes.map((size, index) => here.file(`f${index}`, size));
      expect(await here.receive(files, pieces(content))).toBe(sizes.length);
      let at = 0;
      for (const [index, size] of sizes.entries()) {
        const part = content.subarray(at, at + size);
        at += size;
        expect(sha256(here.read(`f${index}`))).toBe(sha256(part));
        expect(here.hashes[index]).toBe(sha256(part));
      }
      expect(statSync(join(here.folder, "f3")).mode & 0o777).toBe(0o640);
    });

    test("goes on with a file of which the beginning is here", async () => {
      using here = new Reception();
      const half = bytes / 2;
      writeFileSync(join(here.folder, "f"), content.subarray(0, half));
      expect(await here.receive([here.file("f", bytes, half)], pieces(content.subarray(half)))).toBe(1);
      expect(here.hashes).toEqual([sha256(content)]);
      expect(sha256(here.read("f"))).toBe(sha256(content));
    });

    test("does not go on with a file that somebody else has changed meanwhile", async () => {
      using here = new Reception();
      writeFileSync(join(here.folder, "f"), "another");
      const failure = await problemOf(here.receive([here.file("f", bytes, bytes / 2)], pieces(content.subarray(bytes / 2))));
      expect(failure.problem).toMatchObject({ code: "target-unwritable", data: { path: join(here.folder, "f") } });
      expect(here.read("f").toString()).toBe("another");
    });

    test("that is too short says how many files are complete", async () => {
      using here = new Reception();
      expect(await here.receive([here.file("a", 10), here.file("b", bytes), here.file("c", 0)], pieces(content))).toBe(1);
      expect(here.read("b")).toHaveLength(bytes - 10);
    });

    test("that is too long is refused", async () => {
      using here = new Reception();
      const failure = await problemOf(here.receive([here.file("a", bytes - 1)], pieces(content)));
      expect(failure).toMatchObject({ remedy: "changed", problem: { data: { path: "/there/a" } } });
    });

    test("that breaks off leaves what has come, and its own reason", async () => {
      using here = new Reception();
      const receiving = here.receive([here.file("a", bytes + 1)], pieces(content, new TypeError("cut")));
      expect(receiving).rejects.toThrow("cut");
      await receiving.catch(() => null);
      expect(sha256(here.read("a"))).toBe(sha256(content));
      expect(here.hashes).toEqual([]);
    });

    test("that cannot be written names the file", async () => {
      using here = new Reception();
      mkdirSync(join(here.folder, "b"));
      const failure = await problemOf(here.receive([here.file("a", 10), here.file("b", bytes - 10)], pieces(content)));
      expect(failure).toMatchObject({ remedy: "target", problem: { code: "target-unwritable", data: { path: join(here.folder, "b") } } });
      expect(failure.problem.data["message"]).toContain("EISDIR");
    });
  });
}
