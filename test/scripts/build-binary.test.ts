/** The build of small programs of its own: what gets in, what does not, and when it is done again. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type BuildResult, buildBinary } from "../../scripts/build-binary.ts";

const root = resolve(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "build-"));
const entry = join(folder, "program/main.ts");
const outfile = join(folder, "out/expjobserver");
const manifest: { readonly version: string } = await Bun.file(join(root, "package.json")).json();
let built: BuildResult;

const program = `
import { basename } from "node:path";
import { VERSION } from "${join(root, "src/config/version.ts")}";
const word = process.argv[2];
if (word === "who") console.log(basename(process.argv0), VERSION);
if (word === "ssh2") console.log(typeof (await import("ssh2")).Client);
if (word === "citty") console.log(typeof (await import("citty")).runCommand);
if (word === "msgpackr") console.log(new (await import("msgpackr/pack")).Packr({ useRecords: false }).pack([1]).length);
if (word === "native") await import("msgpackr").then(({ isNativeAccelerationEnabled }) => console.log(isNativeAccelerationEnabled));
if (word === "environment") console.log(process.env.FROM_DOTENV ?? "clean");
`;

beforeAll(async () => {
  mkdirSync(join(folder, "program"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(entry, program);
  built = await buildBinary({ entry, outfile });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(name: "expjobserver" | "j", word: string, cwd = folder): Promise<string> {
  const child = Bun.spawn([built[name], word], { cwd, stdio: ["ignore", "pipe", "pipe"], env: { PATH: "/nowhere" } });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return stdout.trim();
}

describe("the binary", () => {
  test("is one file and a relative link beside it, and nothing else is left", () => {
    expect(built).toMatchObject({ expjobserver: outfile, rebuilt: true });
    expect(readlinkSync(built.j)).toBe("expjobserver");
    expect(readdirSync(join(folder, "out")).sort()).toEqual([".expjobserver.stamp", "expjobserver", "j"]);
  });

  test("knows under which name it was called, and its version", async () => {
    expect(await run("j", "who")).toBe(`j ${manifest.version}`);
    expect(await run("expjobserver", "who")).toBe(`expjobserver ${manifest.version}`);
  });

  test("loads ssh2, citty and msgpackr lazily, without their native parts", async () => {
    expect(await run("j", "ssh2")).toBe("function");
    expect(await run("j", "citty")).toBe("function");
    expect(await run("j", "msgpackr")).toBe("2");
    expect(await run("j", "native")).toBe("false");
  });

  test("reads neither .env nor bunfig.toml of the folder it is called in", async () => {
    const there = join(folder, "somebody's");
    mkdirSync(there);
    writeFileSync(join(there, ".env"), "FROM_DOTENV=taken");
    writeFileSync(join(there, "bunfig.toml"), 'preload = ["./evil.ts"]');
    writeFileSync(join(there, "evil.ts"), 'console.log("evil");');
    expect(await run("j", "environment", there)).toBe("clean");
  });

  test("holds no path of the host that built it", () => {
    const bytes = readFileSync(built.expjobserver);
    expect(bytes.includes(join(root, "node_modules"))).toBe(false);
  });
});

describe("a second build", () => {
  test("does nothing while the sources are the same, and builds when one changed", async () => {
    const before = statSync(outfile).mtimeMs;
    expect((await buildBinary({ entry, outfile })).rebuilt).toBe(false);
    expect(statSync(outfile).mtimeMs).toBe(before);
    writeFileSync(entry, `${program}\n// changed`);
    expect((await buildBinary({ entry, outfile })).rebuilt).toBe(true);
  }, 120_000);

  test("that fails says what Bun said, and leaves the old binary", async () => {
    writeFileSync(entry, 'import "./absent.ts";');
    try {
      expect(buildBinary({ entry, outfile })).rejects.toThrow(/absent\.ts/);
      await Promise.allSettled([buildBinary({ entry, outfile })]);
      expect(await run("j", "who")).toStartWith("j ");
    } finally {
      writeFileSync(entry, program);
    }
  }, 120_000);

  test("refuses a target that is none", () => {
    expect(buildBinary({ entry, outfile: join(folder, "other/x"), target: "pdp-11" })).rejects.toThrow(/"pdp-11" is no target/);
  });
});
