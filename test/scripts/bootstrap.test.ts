/**
 * scripts/bootstrap.mjs in folders of its own, under Node, with a stand-in for npm on the PATH that
 * "installs" by linking this repository's packages: nothing here may need the network.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");
const node = Bun.which("node");
const folder = mkdtempSync(join(tmpdir(), "bootstrap-"));
let folderCount = 0;

beforeAll(() => {
  if (node === null) throw new Error("Node is needed: it is what starts everything here.");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Clone {
  readonly path: string;
  /** How often the stand-in for npm was called. */
  installs(): number;
  start(args: readonly string[], cwd?: string): Bun.Subprocess<"ignore", "pipe", "pipe">;
  run(args: readonly string[], cwd?: string): Promise<{ code: number; stdout: string; stderr: string }>;
}

/** A clone whose npm does `npmBody` after noting that it was called. */
function clone(npmBody?: string): Clone {
  folderCount += 1;
  const path = join(folder, `clone ${folderCount}`);
  const bin = join(folder, `bin-${folderCount}`);
  const calls = join(folder, `calls-${folderCount}`);
  mkdirSync(join(path, "scripts"), { recursive: true });
  mkdirSync(bin);
  for (const name of ["package.json", "package-lock.json", "scripts/bootstrap.mjs"]) cpSync(join(root, name), join(path, name));
  writeFileSync(
    join(path, "scripts/echo.ts"),
    "console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd() })); process.exit(9);",
  );
  const install = `sleep 0.3; rm -rf node_modules; mkdir -p node_modules/.bin
ln -s "${root}"/node_modules/* node_modules/
cp "${root}/node_modules/.package-lock.json" node_modules/.package-lock.json
ln -s "${process.execPath}" node_modules/.bin/bun`;
  writeFileSync(join(bin, "npm"), `#!/bin/sh\necho "$*" >>"${calls}"\n${npmBody ?? install}\n`);
  chmodSync(join(bin, "npm"), 0o755);
  const start = (args: readonly string[], cwd = path) =>
    Bun.spawn([node ?? "node", join(path, "scripts/bootstrap.mjs"), ...args], {
      cwd,
      env: { PATH: `${bin}:${process.env.PATH}`, HOME: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
  return {
    path,
    installs: () => (existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n").length : 0),
    start,
    run: async (args, cwd) => {
      const child = start(args, cwd);
      const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      return { code, stdout, stderr };
    },
  };
}

describe("bootstrap", () => {
  test("installs once, then runs the script with its arguments and its exit code, from any folder", async () => {
    const fresh = clone();
    const first = await fresh.run(["scripts/echo.ts", "a b", "--flag"]);
    expect(first.stderr).toBe("bootstrap: installing the packages of package-lock.json (npm ci)\n");
    expect(first.code).toBe(9);
    expect(JSON.parse(first.stdout)).toEqual({ args: ["a b", "--flag"], cwd: fresh.path });
    const second = await fresh.run(["scripts/echo.ts"], tmpdir());
    expect(second).toMatchObject({ code: 9, stderr: "" });
    expect(fresh.installs()).toBe(1);
    expect(readdirSync(join(fresh.path, "dist"))).toEqual([]);
  });

  test("asks npm for exactly the lock file and for no install scripts", async () => {
    const fresh = clone('echo "npm error the arguments were $*"; exit 1');
    const { stderr } = await fresh.run(["scripts/echo.ts"]);
    expect(stderr).toMatch(/arguments were ci --ignore-scripts /);
  });

  test("installs again when the lock file changed, and not when only a script line of package.json did", async () => {
    const fresh = clone();
    await fresh.run(["scripts/echo.ts"]);
    const manifest = join(fresh.path, "package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"scripts": {', '"scripts": {\n    "more": "true",'));
    await fresh.run(["scripts/echo.ts"]);
    expect(fresh.installs()).toBe(1);
    const lock = join(fresh.path, "package-lock.json");
    writeFileSync(lock, readFileSync(lock, "utf8").replaceAll(/"sha512-A/g, '"sha512-B'));
    await fresh.run(["scripts/echo.ts"]);
    expect(fresh.installs()).toBe(2);
  });

  test("installs once when two are started at once", async () => {
    const fresh = clone();
    const results = await Promise.all([fresh.run(["scripts/echo.ts"]), fresh.run(["scripts/echo.ts"]), fresh.run(["scripts/echo.ts"])]);
    expect(results.map(({ code }) => code)).toEqual([9, 9, 9]);
    expect(fresh.installs()).toBe(1);
  });

  test("takes over the lock of an install that was killed", async () => {
    const fresh = clone();
    const dead = Bun.spawn(["true"]);
    await dead.exited;
    mkdirSync(join(fresh.path, "dist"));
    const hostname = (await import("node:os")).hostname();
    writeFileSync(join(fresh.path, "dist/.bootstrap-lock"), JSON.stringify({ host: hostname, pid: dead.pid }));
    expect((await fresh.run(["scripts/echo.ts"])).code).toBe(9);
    expect(fresh.installs()).toBe(1);
  });

  test("says in one line why npm failed, and leaves no lock", async () => {
    const fresh = clone('echo "npm error code ENOTFOUND" >&2; echo "npm error network is down" >&2; exit 1');
    const { code, stderr } = await fresh.run(["scripts/echo.ts"]);
    expect(code).toBe(1);
    expect(stderr.split("\n")[1]).toBe(
      `bootstrap: npm ci failed (exit 1): code ENOTFOUND; network is down. \`npm ci\` in ${fresh.path} shows everything`,
    );
    expect(readdirSync(join(fresh.path, "dist"))).toEqual([]);
  });

  test.each(["SIGTERM", "SIGHUP"] as const)("passes %s on and dies of what the script died of", async (signal) => {
    const fresh = clone();
    const script = join(fresh.path, "scripts/wait.ts");
    writeFileSync(script, 'console.log("ready"); setInterval(() => undefined, 1_000);');
    const child = fresh.start(["scripts/wait.ts"]);
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill(signal);
    await child.exited;
    expect(child.signalCode).toBe(signal);
  });
});
