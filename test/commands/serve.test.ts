/** `serve` as a process: its exit codes with their words, the background, and the old way of calling it. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/free-port.ts";
import { waitFor } from "../support/wait-for.ts";
import { bareEnvironment, runClient } from "./scripted-server.ts";

const home = mkdtempSync(join(tmpdir(), "expjobserver-serve-"));
const started: Record<string, string>[] = [];
afterAll(async () => {
  // Stopped already where the test went through; otherwise nothing may be left.
  for (const environment of started) await runClient(["stop"], { environment });
  rmSync(home, { recursive: true, force: true });
});

async function surroundings(name: string): Promise<Record<string, string>> {
  const environment = {
    ...bareEnvironment(home),
    EXPJOBSERVER_STATE_DIR: join(home, name),
    EXPJOBSERVER_ADDRESS: `127.0.0.1:${await freePort("127.0.0.1")}`,
  };
  started.push(environment);
  return environment;
}

const run = (environment: Record<string, string>, ...argv: string[]) => runClient(argv, { environment, folder: home });

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("serve", () => {
  test("--detach returns when the server answers, and stop when it is gone", async () => {
    const environment = await surroundings("detached");
    const ran = await run(environment, "serve", "--detach", "--json");
    expect(ran).toMatchObject({ code: 0, err: "" });
    const { pid, address } = JSON.parse(ran.out);
    expect(address).toBe(environment["EXPJOBSERVER_ADDRESS"]);
    const status = JSON.parse((await run(environment, "status", "--json")).out);
    expect(status).toMatchObject({ pid, address, runner: null, conditions: [] });
    expect((await run(environment, "stop")).out).toBe(`The server (process ${pid}) has stopped. Jobs that ran go on.\n`);
    await waitFor(() => !isAlive(pid));
    expect((await run(environment, "status")).code).toBe(3);
  }, 120_000);

  test("refuses a second server: 5 for the same state, 6 for the same port, with who it is", async () => {
    const environment = await surroundings("first");
    const { pid } = JSON.parse((await run(environment, "serve", "--detach", "--json")).out);
    const sameState = await run(environment, "serve", "--detach");
    expect(sameState.code).toBe(5);
    expect(sameState.err).toContain(`Another server holds the state directory "${join(home, "first")}", process ${pid}.`);
    const samePort = await run(environment, "serve", "--state-dir", join(home, "second"));
    expect(samePort.code).toBe(6);
    expect(samePort.err).toContain(`is taken by process ${pid}`);
    expect((await run(environment, "stop")).code).toBe(0);
  }, 120_000);

  test("2 for a wrong setting, before anything is made", async () => {
    const environment = await surroundings("never");
    writeFileSync(join(home, "bad.toml"), "runer = 1\n");
    expect(await run(environment, "serve", "--config", "bad.toml")).toMatchObject({
      code: 2,
      err: `"${join(home, "bad.toml")}": there is no key "runer".\nDid you mean runner?\n`,
    });
    expect((await run(environment, "serve", "--log-level", "loud")).code).toBe(2);
    const driver = await run(environment, "serve", "--runner", "nowhere/driver");
    expect(driver.code).toBe(2);
    expect(driver.err).toContain(`The driver "${join(home, "nowhere/driver")}" does not exist.\nCorrect --runner.\n`);
    const address = await run(environment, "serve", "--address", "192.0.2.1:3030");
    expect(address.code).toBe(2);
    expect(address.err).toContain("not an address of this host alone");
  }, 120_000);

  test("is called the old way by a driver's path, and says what has changed", async () => {
    const environment = await surroundings("old");
    writeFileSync(join(home, "driver"), "#!/bin/sh\n", { mode: 0o755 });
    const ran = await run(environment, "./driver", "old-logs", "log4rs.yml", "--allow_snap_fail", "--detach", "--json");
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(ran.out)).toMatchObject({ log_dir: join(home, "old-logs") });
    expect(JSON.parse((await run(environment, "status", "--json")).out)).toMatchObject({ runner: join(home, "driver") });
    const log = await Bun.file(join(home, "old-logs/server.log")).text();
    expect(log).toContain("--runner-arg --print_results_path");
    expect(log).toContain("log4rs.yml");
    expect((await run(environment, "stop")).code).toBe(0);
    expect((await run(environment, "./driver")).code).toBe(2);
  }, 120_000);
});
