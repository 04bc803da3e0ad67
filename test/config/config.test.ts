import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatAddress, parseAddress } from "../../src/config/address.ts";
import { resolveClientOptions } from "../../src/config/client-options.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { parseDuration } from "../../src/config/duration.ts";
import { nearest } from "../../src/config/nearest.ts";
import { resolveServeOptions, type ServeFlags } from "../../src/config/serve-options.ts";

const folder = mkdtempSync(join(tmpdir(), "expjobserver-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function configFile(text: string): string {
  files += 1;
  const path = join(folder, `config-${files}.toml`);
  writeFileSync(path, text);
  return path;
}

const surroundings = { environment: { HOME: "/home/user" }, folder: "/lab" };

function serveOptions(text: string, flags: ServeFlags = {}) {
  return resolveServeOptions({ config: configFile(text), ...flags }, surroundings);
}

async function refusal(text: string): Promise<{ message: string; hint: string }> {
  const error = await serveOptions(text).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw new Error(`not refused: ${text}`);
  return { message: error.message.replaceAll(/"[^"]*\/config-\d+\.toml"/g, "FILE"), hint: error.hint };
}

describe("serve options", () => {
  test("without any flag are sensible defaults", async () => {
    expect(await resolveServeOptions({}, surroundings)).toMatchSnapshot();
  });

  test("take every key of the file", async () => {
    const text = `
      runner = "bin/driver"
      runner_arg = ["--print_results_path", "--fast"]
      log_dir = "~/logs"
      state_dir = "/state"
      address = "[::1]:4000"
      allow_snap_fail = true
      allow_network_fs = true
      log_level = "debug"
      known_hosts = "hosts"
      identity = ["a", "/b"]
      ssh_config = "ssh"
      summary_interval = 30
      notify_running = true
      notify_complete = true
      notify_copied = true
      notify_fail = true
      notify_machine_broken = true
      [class.fast]
      runner = "local"
      run_root = "/scratch/runs"
      backoff = "1s"
      backoff_max = "1m30s"
      [class."odd name"]
      [limits]
      queued_jobs = 5
      failures_before_quarantine = 2
      copies_at_once = 1
      kill_grace = "3s"
      connect_timeout = "7s"
      keepalive = "9s"
    `;
    const options = await serveOptions(text);
    expect(JSON.parse(JSON.stringify({ ...options, configFile: "FILE" }).replaceAll(folder, "FOLDER"))).toMatchSnapshot();
  });

  test("prefer flags to environment to file to defaults", async () => {
    const config = configFile('address = "127.0.0.1:1"\nstate_dir = "/from-file"\nrunner = "/file"');
    const environment = { HOME: "/home/user", EXPJOBSERVER_ADDRESS: "127.0.0.1:2", EXPJOBSERVER_CONFIG: config };
    const fromFile = await resolveClientOptions({}, { environment: { HOME: "/home/user", EXPJOBSERVER_CONFIG: config }, folder: "/lab" });
    expect(fromFile).toEqual({ address: { host: "127.0.0.1", port: 1 }, tokenFile: "/from-file/token" });
    const fromEnvironment = await resolveServeOptions({}, { environment, folder: "/lab" });
    expect(fromEnvironment).toMatchObject({ address: { port: 2 }, stateDir: "/from-file", runner: "/file", configFile: config });
    const fromFlags = await resolveServeOptions({ address: "127.0.0.1:3", stateDir: "s", runner: "r" }, { environment, folder: "/lab" });
    expect(fromFlags).toMatchObject({ address: { port: 3 }, stateDir: "/lab/s", runner: "/lab/r", logDir: "/lab/s/logs" });
  });

  test("follow the XDG variables, but not relative or empty ones", async () => {
    const at = (environment: Record<string, string>) => resolveClientOptions({}, { environment, folder: "/lab" });
    expect((await at({ HOME: "/home/user" })).tokenFile).toBe("/home/user/.local/state/expjobserver/token");
    expect((await at({ HOME: "/home/user", XDG_STATE_HOME: "/xdg" })).tokenFile).toBe("/xdg/expjobserver/token");
    expect((await at({ HOME: "/home/user", XDG_STATE_HOME: "xdg" })).tokenFile).toBe("/home/user/.local/state/expjobserver/token");
    expect((await at({ HOME: "/home/user", EXPJOBSERVER_STATE_DIR: "" })).tokenFile).toBe("/home/user/.local/state/expjobserver/token");
  });

  test("of a class start from the defaults", async () => {
    const { classes, classDefaults } = await serveOptions('[class.a]\nbackoff = "20m"');
    expect(classes["a"]).toEqual({ ...classDefaults, backoffSeconds: 1_200, backoffSecondsMax: 1_200 });
  });
});

describe("a wrong config file", () => {
  const cases: [string, string, string][] = [
    ['runer = "x"', 'FILE: there is no key "runer".', "Did you mean runner?"],
    ['runner-arg = ["x"]', 'FILE: there is no key "runner-arg".', "Did you mean runner_arg?"],
    ["[class.a]\nback_off = 3", 'FILE: there is no key "class.a.back_off".', "Did you mean backoff?"],
    ["[limit]\nqueued_jobs = 3", 'FILE: there is no key "limit".', "Did you mean limits?"],
    ["zzzzz = 1", 'FILE: there is no key "zzzzz".', "The keys are: runner,"],
    ["runner = 3", "FILE: runner is 3.", "It must be a path in quotes."],
    ['runner_arg = "x"', 'FILE: runner_arg is "x".', "It must be a list of strings"],
    ["allow_snap_fail = 1", "FILE: allow_snap_fail is 1.", "It must be true or false."],
    ['log_level = "loud"', 'FILE: log_level is "loud".', 'It must be one of "error", "warn"'],
    ['address = "3030"', 'FILE: address is "3030".', "HOST:PORT"],
    ["class = 3", "FILE: class is 3.", "It must be a table: [class.NAME]."],
    ["[class]\na = 3", "FILE: class.a is 3.", "It must be a table: [class.a]."],
    ["[limits]\nqueued_jobs = 0", "FILE: limits.queued_jobs is 0.", "It must be a whole number above 0."],
    ['[class.a]\nbackoff = "soon"', 'FILE: class.a.backoff is "soon".', "It must be a time in quotes"],
    ['[class.a]\nrun_root = "runs"', 'FILE: class.a.run_root is "runs".', 'It must be a path on the machine that begins with "/" or "~/".'],
    ['[class.a]\nrunner = "driver"', 'FILE: class.a.runner is "driver", but there is no driver.', "--runner"],
    ["runner = ", "FILE is not valid TOML: line 1, column", "Correct that line."],
    ["a = 1\na = 2", "FILE is not valid TOML: line 2", "Correct that line."],
  ];
  for (const [text, message, hint] of cases) {
    test(`is one clear error: ${text.replaceAll("\n", " ")}`, async () => {
      const refused = await refusal(text);
      expect(refused.message).toStartWith(message);
      expect(refused.hint).toContain(hint);
      expect(refused.message).not.toContain("\n");
    });
  }

  test("is an error when it was named and is not there, and none when it is only the default", async () => {
    expect(resolveClientOptions({ config: join(folder, "none.toml") }, surroundings)).rejects.toThrow(ConfigError);
    expect((await resolveClientOptions({}, surroundings)).address).toEqual({ host: "127.0.0.1", port: 3030 });
  });

  test("that cannot be read is an error", async () => {
    const path = configFile("");
    chmodSync(path, 0);
    // The superuser reads everything: a folder in its place fails for all.
    const config = process.geteuid?.() === 0 ? folder : path;
    expect(resolveClientOptions({ config }, surroundings)).rejects.toThrow("cannot be read");
  });
});

describe("wrong flags", () => {
  test("name themselves", async () => {
    expect(resolveServeOptions({ logLevel: "loud" }, surroundings)).rejects.toThrow('--log-level is "loud".');
    expect(resolveServeOptions({ summaryInterval: "often" }, surroundings)).rejects.toThrow('--summary-interval is "often".');
    expect(resolveServeOptions({ address: "x" }, surroundings)).rejects.toThrow('--address is "x"');
  });
});

describe("addresses", () => {
  test("are HOST:PORT", () => {
    expect(parseAddress("localhost:3030")).toEqual({ host: "localhost", port: 3030 });
    expect(parseAddress("[::1]:1")).toEqual({ host: "::1", port: 1 });
    for (const text of ["", "3030", "host", "host:", ":3030", "host:0", "host:65536", "::1:3030", "a b:1", "http://h:1", "h:1x"]) {
      expect(parseAddress(text)).toBeNull();
    }
  });

  test("are printed as they are read", () => {
    for (const text of ["127.0.0.1:3030", "[::1]:3030"]) {
      const address = parseAddress(text);
      expect(address === null ? "" : formatAddress(address)).toBe(text);
    }
  });
});

describe("durations", () => {
  test("have units that fall", () => {
    expect(["90s", "15m", "1h34m", "2d", "1.5h", "1d2h3m4s"].map((text) => parseDuration(text, "m"))).toEqual([
      90, 900, 5_640, 172_800, 5_400, 93_784,
    ]);
    expect(parseDuration("5", "s")).toBe(5);
    expect(parseDuration("5", "m")).toBe(300);
    for (const text of ["", "m", "5x", "1m1h", "1m1m", "1h ", "-1m", "1e3s", "1:30", "Infinity"])
      expect(parseDuration(text, "m")).toBeNull();
  });
});

describe("the nearest names", () => {
  test("are what was probably meant", () => {
    const names = ["job", "machine", "matrix", "ping", "status", "stop", "serve"];
    expect(nearest("jbo", names)).toEqual(["job"]);
    expect(nearest("machin", names)).toEqual(["machine"]);
    expect(nearest("sta", names)).toEqual(["status"]);
    expect(nearest("stp", names)).toEqual(["stop"]);
    expect(nearest("xyzzy", names)).toEqual([]);
    expect(nearest("m".repeat(100_000), names)).toEqual([]);
  });
});
