import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { problem } from "../../../src/core/problem.ts";
import { HASH_SCRIPT, LIST_SCRIPT } from "../../../src/daemon/copier/scripts.ts";
import { type MachineShell, MachineShellError } from "../../../src/daemon/machine-shell.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "../../fault/forms.ts";
import { CopyFixture, LyingShell, mustBeCopied, mustFail, sha256, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

const seed = chooseSeed();
const hostileAnswers = count("hostile-machine", { short: 200, long: 50_000 });
const PARTS = [
  "..",
  ".",
  "",
  "a",
  "b",
  "c",
  "a\nb",
  "\x1b[2J",
  ".expjobserver",
  ".EXPJOBSERVER",
  "etc",
  "x".repeat(300),
  "-rf",
  "ä",
  "\u202e",
  "*",
  "c:\\d",
];

/** Files under names of every sort, their sizes true or not. */
function hostileListing(chance: () => number): { readonly listing: string; readonly names: readonly string[] } {
  const pick = <T>(items: readonly T[], otherwise: T): T => items[Math.floor(chance() * items.length)] ?? otherwise;
  const names = Array.from({ length: 1 + Math.floor(chance() * 3) }, () =>
    // Half of them harmless, so that what is harmless beside what is not is tried too.
    chance() < 0.5 ? pick(["a", "b", "c"], "a") : Array.from({ length: 1 + Math.floor(chance() * 3) }, () => pick(PARTS, "a")).join("/"),
  );
  const entries = names.map((name) => `${pick(["f", "f", "f", "d", "l"], "f")} ${Math.floor(chance() * 5)} /out/${name}\0`);
  return { listing: `P 0 -\0${entries.join("")}E 0 0\0`, names };
}

/** Answers the three questions as told; hashes are those of `content` unless said otherwise. */
function liar(answers: { listing: string; stream: Uint8Array | string | AsyncIterable<Uint8Array>; hashes: string }): LyingShell {
  return new LyingShell((script) => (script === LIST_SCRIPT ? answers.listing : script === HASH_SCRIPT ? answers.hashes : answers.stream));
}

describe("a machine that lies", () => {
  test("can write nothing outside CP_PATH by any name", async () => {
    for (const name of ["../escape", "a/../../escape", "/etc/escape", ".expjobserver/9.toml", "..", "a//b", "./a"]) {
      using fixture = new CopyFixture();
      const shell = liar({ listing: `P 0 -\0f 1 /out/${name}\0E 0 0\0`, stream: "x", hashes: `${sha256("x")}\nend\n` });
      expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/"] })).code).toMatch(/^results-(unsafe-name|changed)$/);
      expect(tree(fixture.target)).toEqual({});
      expect(readdirSync(fixture.folder).sort()).toEqual(["machine", "results"]);
    }
  });

  test(
    `of ${hostileAnswers} random kinds can write nothing outside CP_PATH and nothing that it was not asked for (seed ${seed})`,
    async () => {
      const startedAt = performance.now();
      const chance = randomFrom(seed);
      const outside: string[] = [];
      let copied = 0;
      for (let index = 0; index < hostileAnswers; index++) {
        using fixture = new CopyFixture();
        const { listing, names } = hostileListing(chance);
        const content = "x".repeat(Math.floor(chance() * 5));
        const hashes = `${names.map(() => `${sha256(chance() < 0.9 ? content : "other")}\n`).join("")}end\n`;
        const shell = liar({ listing, stream: content.repeat(names.length), hashes });
        const outcome = await fixture.copy({ shell, prefixes: ["/out/"], limits: { retryDelayMs: 0 } });
        if (outcome.kind !== "failed") copied += 1;
        const beside = readdirSync(fixture.folder).filter((name) => name !== "machine" && name !== "results");
        const visible = Object.keys(tree(fixture.target)).filter(
          (path) => !names.some((name) => name === path || name.startsWith(`${path}/`)),
        );
        outside.push(...beside, ...visible, ...readdirSync(fixture.source));
        if (outcome.kind === "failed" && Object.keys(tree(fixture.target)).length > 0) outside.push(`visible after a failure: ${listing}`);
      }
      const seconds = (performance.now() - startedAt) / 1_000;
      report({
        name: "hostile-machine",
        count: hostileAnswers,
        violations: outside.length,
        seed,
        seconds,
        note: `${copied} of them harmless`,
      });
      expect(outside).toEqual([]);
      // Otherwise all were refused for something that has nothing to do with their names.
      expect(copied).toBeGreaterThan(0);
    },
    timeoutMs(60_000),
  );

  test("that sends other bytes than it hashes is not believed", async () => {
    using fixture = new CopyFixture();
    const shell = liar({ listing: "P 0 -\0f 4 /out/exp\0E 0 0\0", stream: "evil", hashes: `${sha256("good")}\nend\n` });
    expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"] }))).toMatchObject({
      code: "results-changed",
      data: { path: "/out/exp" },
    });
    expect(tree(fixture.target)).toEqual({});
  });

  test("about sizes, in both directions, is found out", async () => {
    for (const stream of ["much more than four", "abc", ""]) {
      using fixture = new CopyFixture();
      const shell = liar({ listing: "P 0 -\0f 4 /out/exp\0E 0 0\0", stream, hashes: `${sha256(stream)}\nend\n` });
      expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"] })).code).toBe("results-changed");
      expect(tree(fixture.target)).toEqual({});
    }
  });

  test("about a size beyond the disk is refused before a byte is fetched", async () => {
    using fixture = new CopyFixture();
    const shell = liar({ listing: "P 0 -\0f 999999999999999 /out/exp\0E 0 0\0", stream: endless(), hashes: "" });
    expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"] })).code).toBe("target-unwritable");
    expect(shell.processes).toHaveLength(1);
  });

  test("that sends without an end is cut off in each of the three answers", async () => {
    const honest = { listing: "P 0 -\0f 4 /out/exp\0E 0 0\0", hashes: `${sha256("good")}\nend\n` };
    for (const shell of [
      new LyingShell(() => endless()),
      new LyingShell((script) => (script === LIST_SCRIPT ? honest.listing : script === HASH_SCRIPT ? endless() : "good")),
      new LyingShell((script) => (script === LIST_SCRIPT ? honest.listing : script === HASH_SCRIPT ? honest.hashes : endless())),
    ]) {
      using fixture = new CopyFixture();
      expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"] })).code).toMatch(/^results-/);
      expect(tree(fixture.target)).toEqual({});
    }
  });

  test("with more entries than the limit is refused, with bounded memory", async () => {
    using fixture = new CopyFixture();
    const shell = new LyingShell(() =>
      (async function* () {
        yield Buffer.from("P 0 -\0");
        for (let index = 0; ; index += 1000) {
          yield Buffer.from(Array.from({ length: 1000 }, (_, offset) => `f 0 /out/exp${index + offset}\0`).join(""));
        }
      })(),
    );
    expect(mustFail(await fixture.copy({ shell, prefixes: ["/out/exp"], limits: { entriesMax: 50_000 } })).code).toBe("results-too-many");
  });

  test("that never answers leaves nothing but a problem", async () => {
    using fixture = new CopyFixture();
    const shell = new LyingShell(() => silence());
    expect(mustFail(await fixture.copy({ shell, limits: { stallMs: 20, retryDelayMs: 1 } })).code).toBe("transfer-stalled");
  });
});

describe("links in CP_PATH", () => {
  test("are never followed: a folder, a file and our own folder that are links are named", async () => {
    for (const [link, destination] of [
      ["exp7", "folder"],
      ["exp7/sub", "folder"],
      ["exp7/sub/a", "victim"],
      [".expjobserver", "folder"],
      [".expjobserver/incoming", "folder"],
    ] as const) {
      using fixture = new CopyFixture();
      fixture.write({ "exp7/sub/a": "new", "exp7/sub/b": "new" });
      const outside = join(fixture.folder, "outside");
      mkdirSync(join(outside, "folder"), { recursive: true });
      writeFileSync(join(outside, "victim"), "untouched");
      const path = join(fixture.target, link);
      mkdirSync(join(path, ".."), { recursive: true });
      symlinkSync(join(outside, destination), path);
      const before = tree(fixture.target);
      expect(mustFail(await fixture.copy())).toMatchObject({ code: "target-is-link", retryable: true, data: { path } });
      expect(tree(fixture.target)).toEqual(before);
      expect(lstatSync(path).isSymbolicLink()).toBe(true);
      expect(readFileSync(join(outside, "victim"), "utf8")).toBe("untouched");
      expect(readdirSync(join(outside, "folder"))).toEqual([]);
    }
  });

  test("CP_PATH itself may be one: its user named it", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "x" });
    mkdirSync(join(fixture.folder, "elsewhere"));
    symlinkSync(join(fixture.folder, "elsewhere"), fixture.target);
    mustBeCopied(await fixture.copy());
    expect(readFileSync(join(fixture.folder, "elsewhere", "exp7"), "utf8")).toBe("x");
  });
});

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield new Uint8Array(64 * 1024).fill(65);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function* silence(): AsyncGenerator<Uint8Array> {
  await Promise.withResolvers<void>().promise;
  yield new Uint8Array(0);
}

test("a machine whose host key is wrong is asked once: nothing is sent there again", async () => {
  using fixture = new CopyFixture();
  let asked = 0;
  const shell: MachineShell = {
    machine: "changed",
    run: () => {
      asked++;
      return Promise.reject(new MachineShellError(problem("host-key-changed", { machine: "changed" })));
    },
  };
  expect(mustFail(await fixture.copy({ shell }))).toMatchObject({ code: "host-key-changed", retryable: false });
  expect(asked).toBe(1);
});
