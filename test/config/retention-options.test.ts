/** `[log]` and `[retention]`: nothing is deleted that was not asked for, and nothing about it is guessed. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/config/config-error.ts";
import { resolveServeOptions, type ServeFlags } from "../../src/config/serve-options.ts";
import { parseSize } from "../../src/config/size.ts";

const folder = mkdtempSync(join(tmpdir(), "expjobserver-retention-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const config = join(folder, "config.toml");

function options(text: string, flags: ServeFlags = {}) {
  writeFileSync(config, text);
  return resolveServeOptions({ config, ...flags }, { environment: { HOME: "/home/user" }, folder: "/lab" });
}

async function refusal(text: string): Promise<string> {
  const error = await options(text).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw new Error(`not refused: ${text}`);
  return `${error.message} ${error.hint}`.replace(`"${config}"`, "FILE");
}

describe("[retention]", () => {
  test("by default deletes, compresses and forgets nothing", async () => {
    const { retention } = await options("");
    expect(Object.values(retention)).toEqual([null, null, null, null]);
  });

  test("takes ages and sizes as people write them", async () => {
    const { retention } = await options(
      '[retention]\ncompress_logs_after = "12h"\ndelete_logs_after = "30d"\ndelete_logs_above = "1.5GiB"\nforget_jobs_after = "365d"',
    );
    expect(retention).toEqual({
      compressLogsAfterSeconds: 43_200,
      deleteLogsAfterSeconds: 2_592_000,
      deleteLogsAboveBytes: 1_610_612_736,
      forgetJobsAfterSeconds: 31_536_000,
    });
  });

  test.each([
    ["delete_logs_after = 30", "FILE: retention.delete_logs_after is 30. It must be an age with its unit"],
    ['delete_logs_after = "30"', 'FILE: retention.delete_logs_after is "30". It must be an age with its unit'],
    ['delete_logs_after = "0d"', "retention.delete_logs_after"],
    ['forget_jobs_after = "1 month"', "retention.forget_jobs_after"],
    ['delete_logs_above = "10"', 'FILE: retention.delete_logs_above is "10". It must be a size with its unit'],
    ['delete_logs_above = "ten GB"', "retention.delete_logs_above"],
    ['delete_log_after = "3d"', 'there is no key "retention.delete_log_after". Did you mean delete_logs_after'],
    ['delete_logs_after = "30d"\nforget_jobs_after = "7d"', "retention.forget_jobs_after is shorter than retention.delete_logs_after."],
  ])("%s is refused by name", async (text, said) => {
    expect(await refusal(`[retention]\n${text}`)).toContain(said);
  });
});

describe("[log]", () => {
  test("has defaults, takes all its keys, and the flag goes before the level", async () => {
    expect((await options("")).log).toEqual({ level: "info", bytesMax: 10_485_760, filesMax: 5, compress: true });
    const text = '[log]\nlevel = "warn"\nmax_size = "64KiB"\nfiles = 9\ncompress = false';
    expect((await options(text)).log).toEqual({ level: "warn", bytesMax: 65_536, filesMax: 9, compress: false });
    expect((await options(text, { logLevel: "debug" })).log.level).toBe("debug");
    expect((await options('log_level = "error"')).log.level).toBe("error");
  });

  test.each([
    ['log_level = "info"\n[log]\nlevel = "debug"', "log_level and log.level are both there"],
    ['[log]\nmax_size = "10B"', "log.max_size is 10 bytes. It must be at least 1024"],
    ["[log]\nfiles = 0", "FILE: log.files is 0. It must be a whole number above 0"],
    ["log = true", "FILE: log is true. It must be a table: [log]"],
  ])("%j is refused by name", async (text, said) => {
    expect(await refusal(text)).toContain(said);
  });
});

test.each([
  ["10GiB", 10_737_418_240],
  ["500MB", 500_000_000],
  ["64K", 65_536],
  ["1.5 kB", 1_500],
  ["7B", 7],
  ["10", null],
  ["10gib", null],
  ["-1MB", null],
  ["1e3MB", null],
  ["99999999TB", null],
  ["5 toString", null],
  ["", null],
] as const)("the size %j is %p", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});
