/** docs/configuration.md names every key that config.toml may have. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/config/config-error.ts";
import { resolveServeOptions } from "../../src/config/serve-options.ts";

const folder = mkdtempSync(join(tmpdir(), "expjobserver-documentation-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const page = readFileSync(join(import.meta.dir, "../../docs/configuration.md"), "utf8");

/** The hint for a key that is like no other lists them all. */
async function keysOf(table: string): Promise<string[]> {
  const config = join(folder, "config.toml");
  writeFileSync(config, `${table}\nzzzzzzzzzzzzzzzzzzzzzz = 1\n`);
  const error: unknown = await resolveServeOptions({ config }, { environment: { HOME: "/home/user" }, folder }).catch((thrown) => thrown);
  if (!(error instanceof ConfigError)) throw new Error("not refused");
  return error.hint.replace(/^The keys are: |\.$/g, "").split(", ");
}

describe("docs/configuration.md", () => {
  test.each(["", "[class.x]", "[limits]", "[log]", "[retention]"])("has every key of %p", async (table) => {
    const keys = await keysOf(table);
    expect(keys.length).toBeGreaterThan(3);
    const absent = keys.filter(
      (key) => ![`\`${key}\``, `\`[${key}]\``, `\`[${key}.NAME]\``, `[[${key}.webhooks]]`].some((form) => page.includes(form)),
    );
    expect(absent).toEqual([]);
  });
});
