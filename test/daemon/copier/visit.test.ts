import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomFillSync } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { LIST_SCRIPT, VISIT_SCRIPT } from "../../../src/daemon/copier/scripts.ts";
import { waitFor } from "../../support/wait-for.ts";
import { CopyFixture, InterferingShell, LyingShell, mustBeCopied, mustFail, sha256, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

const LOGIN = { runsLoginShell: true } as const;
/** Where the machine waits until the listing has been looked at. */
const PAUSE = "IFS= read -r line || exit 0";

/** Does `commands` on the machine between the listing and the transfer, the first time. */
function changing(commands: string): InterferingShell {
  return new InterferingShell((script) => (script === VISIT_SCRIPT ? script.replace(PAUSE, `${PAUSE}\n${commands}`) : undefined), LOGIN);
}

describe("where each command costs a login shell, a copy is one command", () => {
  test("for files of every size and name, empty folders and thousands of files", async () => {
    using fixture = new CopyFixture();
    const names = ["a b", `it's "quoted"`, "two\nlines", "back\\slash", "$(touch pwned)", "-rf", "Größe", "."];
    fixture.write(Object.fromEntries(names.map((name) => [`exp7/odd/${name === "." ? "plain" : name}`, `content of ${name}`])));
    fixture.write({ "exp7/empty": "", "exp7/large": randomFillSync(Buffer.alloc(9_000_001)), exp7b: "", "exp7/zero/last": "" });
    fixture.write(Object.fromEntries(Array.from({ length: 2_500 }, (_, index) => [`exp7/many/f${index}`, `file ${index}`])));
    mkdirSync(join(fixture.source, "exp7/nothing/in it"), { recursive: true });
    const shell = new InterferingShell(() => undefined, LOGIN);
    const outcome = mustBeCopied(await fixture.copy({ shell, prefixes: ["exp7", "exp7/odd"] }));
    expect(shell.scripts[0]).toBe(VISIT_SCRIPT);
    expect(outcome.files.length).toBeGreaterThan(2_500);

    const again = new InterferingShell(() => undefined, LOGIN);
    mustBeCopied(await fixture.copy({ shell: again, target: join(fixture.folder, "second") }));
    expect(again.scripts).toEqual([VISIT_SCRIPT]);
    expect(tree(join(fixture.folder, "second"))).toEqual(tree(fixture.source));
  });

  test("and repeating it is harmless", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "aaaa", "exp7/b": "" });
    for (let round = 0; round < 2; round += 1) {
      mustBeCopied(await fixture.copy({ shell: new InterferingShell(() => undefined, LOGIN) }));
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
    }
  });

  test("that is not asked for what an earlier copy has left", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "aaaa", "exp7/b": "bbbb" });
    const cut = changing("printf aaaa; exec sleep 1000");
    const failure = mustFail(await fixture.copy({ shell: cut, limits: { stallMs: 5_000, attemptsMax: 1 } }));
    expect(failure).toMatchObject({ code: "transfer-stalled", retryable: true });
    expect(tree(fixture.target)).toEqual({});
    const shell = new InterferingShell(() => undefined, LOGIN);
    mustBeCopied(await fixture.copy({ shell }));
    expect(shell.scripts).not.toContain(VISIT_SCRIPT);
    expect(tree(fixture.target)).toEqual(tree(fixture.source));
  });
});

describe("what changes on the machine after it was listed", () => {
  const changes = {
    "a file that grows": "printf more >>exp7/b",
    "a file that shrinks": ": >exp7/b",
    "a file that vanishes": "rm exp7/b",
    "the last file, which grows": "printf more >>exp7/z",
  };
  for (const [what, commands] of Object.entries(changes)) {
    test(`${what} is noticed, and all is asked for again`, async () => {
      using fixture = new CopyFixture();
      fixture.write({ "exp7/a": "aaaa", "exp7/b": "bbbb", "exp7/large": randomFillSync(Buffer.alloc(3_000_000)), "exp7/z": "zzzz" });
      const shell = changing(commands);
      mustBeCopied(await fixture.copy({ shell }));
      expect(shell.scripts.slice(0, 2)).toEqual([VISIT_SCRIPT, LIST_SCRIPT]);
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
    });
  }
});

describe("a command for all that goes wrong", () => {
  test("falls silent in its hashes: stalled, though all bytes have come", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "x" });
    const silent = VISIT_SCRIPT.replace("} >&2 2>/dev/null &", "} >/dev/null &").replace("printf 'end", "sleep 1000; printf 'end");
    const shell = new InterferingShell((script) => (script === VISIT_SCRIPT ? silent : undefined), LOGIN);
    const failure = mustFail(await fixture.copy({ shell, limits: { stallMs: 5_000, attemptsMax: 1 } }));
    expect(failure).toMatchObject({ code: "transfer-stalled", retryable: true });
  });

  test("is ended at once when the copy is canceled, before the listing and after it", async () => {
    for (const place of ["status=0", PAUSE]) {
      using fixture = new CopyFixture();
      fixture.write({ exp7: "x" });
      const controller = new AbortController();
      const marker = join(fixture.folder, "reached");
      const shell = new InterferingShell(
        (script) => (script === VISIT_SCRIPT ? script.replace(place, `: >'${marker}'; exec sleep 1000`) : undefined),
        LOGIN,
      );
      const copying = fixture.copy({ shell, signal: controller.signal });
      await waitFor(() => existsSync(marker));
      controller.abort();
      expect(mustFail(await copying)).toMatchObject({ code: "canceled", retryable: true });
    }
  });

  test("that cannot read a folder is asked again, and says what a plain listing says", async () => {
    using fixture = new CopyFixture();
    const shell = new InterferingShell(() => undefined, LOGIN);
    const startDirectory = join(fixture.source, "not there");
    const failure = mustFail(await fixture.copy({ shell, startDirectory }));
    expect(failure).toEqual(mustFail(await fixture.copy({ startDirectory, jid: 8 })));
  });
});

describe("a machine that lies in one command", () => {
  const listing = "P 0 -\0f 4 /out/exp\0E 0 0\0";
  const cases: readonly (readonly [what: string, output: string, hashes: string | AsyncIterable<Uint8Array>])[] = [
    ["other bytes than it hashes", `${listing}evil`, `${sha256("good")}\nend\n`],
    ["more than it listed", `${listing}goodness`, `${sha256("good")}\nend\n`],
    ["less than it listed", `${listing}goo`, `${sha256("goo")}\nend\n`],
    ["a name that leads out", "P 0 -\0f 4 /out/../exp\0E 0 0\0good", `${sha256("good")}\nend\n`],
    ["no hashes", `${listing}good`, "end\n"],
    ["hashes without an end", `${listing}good`, endless()],
  ];
  for (const [what, output, hashes] of cases) {
    test(`and sends ${what} is refused`, async () => {
      using fixture = new CopyFixture();
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        const end = output.indexOf("E 0 0\0") + 6;
        yield Buffer.from(output.slice(0, end));
        yield Buffer.from(output.slice(end));
      };
      const shell = new LyingShell((script) => (script === VISIT_SCRIPT ? pieces() : ""), hashes);
      const failure = mustFail(await fixture.copy({ shell, prefixes: ["/out/"], limits: { retryDelayMs: 1, stallMs: 5_000 } }));
      expect(failure.code).toMatch(/^(results-|checksum-)/);
      expect(tree(fixture.target)).toEqual({});
    });
  }
});

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(64 * 1024);
}
