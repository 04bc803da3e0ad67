/** The name decides: the compiled program, and the symlink that it makes of itself. */
import { afterAll, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildTestBinary } from "../support/binary.ts";
import { bareEnvironment, runClient } from "./scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "expjobserver-link-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function program(path: string, ...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([path, ...argv], { env: bareEnvironment(folder), cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

describe("the compiled program", () => {
  test("makes the symlink j, which is the client", async () => {
    const { expjobserver } = await buildTestBinary();
    const bin = join(folder, "bin");
    mkdirSync(bin);
    const linked = await program(expjobserver, "link", "bin");
    expect(linked).toMatchObject({ code: 0, out: `${join(bin, "j")} -> ${expjobserver}\n` });
    expect(linked.err).toContain("is not in PATH");
    expect(readlinkSync(join(bin, "j"))).toBe(expjobserver);
    expect((await program(join(bin, "j"), "--version")).out).toMatch(/^expjobserver \d/);
    // A second time it is there already.
    expect((await program(expjobserver, "link", bin, "-q")).code).toBe(0);
    // Under this name a path is no old call of the server.
    expect((await program(join(bin, "j"), "./driver", "logs")).err).toStartWith('There is no command "./driver".');
    expect((await program(expjobserver, "./driver")).err).toStartWith("The log folder is missing after the driver.");
  }, 180_000);

  test("leaves a file named j alone, and says what it could not do", async () => {
    const { expjobserver } = await buildTestBinary();
    const other = join(folder, "other");
    mkdirSync(other);
    writeFileSync(join(other, "j"), "mine");
    const refused = await program(expjobserver, "link", other);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toStartWith(`"${join(other, "j")}" exists and is not a link to expjobserver.`);
    expect(lstatSync(join(other, "j")).isSymbolicLink()).toBe(false);
    expect((await program(expjobserver, "link", join(folder, "none"))).err).toContain("There is no folder");
  }, 180_000);

  test("is needed for a link", async () => {
    const ran = await runClient(["link"], { environment: bareEnvironment(folder), folder });
    expect(ran.code).toBe(1);
    expect(ran.err).toStartWith("This is not the compiled executable.");
  });
});
