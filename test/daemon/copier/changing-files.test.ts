import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomFillSync } from "node:crypto";
import { appendFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HASH_SCRIPT, LIST_SCRIPT, STREAM_SCRIPT } from "../../../src/daemon/copier/scripts.ts";
import { CopyFixture, InterferingShell, mustBeCopied, mustFail, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

const FILES = {
  "exp7/a": "aaaa",
  "exp7/b": "bbbb",
  "exp7/c": "cccc",
  "exp7/large": randomFillSync(Buffer.alloc(3_000_000)),
  "exp7/z": "zzzz",
};

/** What the machine does to `exp7/b` (and to the large one) between the listing and the transfer. */
const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  grows: (path) => appendFileSync(path, "more"),
  shrinks: (path) => truncateSync(path, 1),
  "becomes empty": (path) => truncateSync(path, 0),
  "keeps its size but differs": (path) => writeFileSync(path, "BBBB"),
};

for (const moment of [STREAM_SCRIPT, HASH_SCRIPT]) {
  const when = moment === STREAM_SCRIPT ? "before the transfer" : "before it is hashed";
  describe(`a file that changes ${when}`, () => {
    for (const [what, change] of Object.entries(CHANGES)) {
      for (const file of ["exp7/b", "exp7/large"]) {
        test(`${file} ${what} once: it is listed anew and the copy is right`, async () => {
          using fixture = new CopyFixture();
          fixture.write(FILES);
          const shell = new InterferingShell((script, count) => {
            if (script === moment && count === 1) change(join(fixture.source, file));
            return undefined;
          });
          const outcome = mustBeCopied(await fixture.copy({ shell }));
          expect(tree(fixture.target)).toEqual(tree(fixture.source));
          expect(outcome.files).toHaveLength(5);
        });
      }
    }

    test("every time: results-changed names it, and nothing has a final name", async () => {
      using fixture = new CopyFixture();
      fixture.write(FILES);
      const shell = new InterferingShell((script) => {
        if (script === moment) appendFileSync(join(fixture.source, "exp7/c"), "more");
        return undefined;
      });
      expect(mustFail(await fixture.copy({ shell }))).toMatchObject({
        code: "results-changed",
        retryable: true,
        data: { path: "./exp7/c" },
      });
      expect(tree(fixture.target)).toEqual({});
      expect(mustBeCopied(await fixture.copy()).files).toHaveLength(5);
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
    });

    test("a file that vanishes is not there; one that vanishes with every look is named", async () => {
      using fixture = new CopyFixture();
      fixture.write(FILES);
      const once = new InterferingShell((script, count) => {
        if (script === moment && count === 1) rmSync(join(fixture.source, "exp7/b"));
        return undefined;
      });
      mustBeCopied(await fixture.copy({ shell: once }));
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
      const always = new InterferingShell((script) => {
        if (script === LIST_SCRIPT) writeFileSync(join(fixture.source, "exp7/b"), "bbbb");
        if (script === moment) rmSync(join(fixture.source, "exp7/b"), { force: true });
        return undefined;
      });
      expect(mustFail(await fixture.copy({ shell: always, jid: 8 }))).toMatchObject({
        code: "results-changed",
        data: { path: "./exp7/b" },
      });
    });
  });
}

test("a file without an end is not read for ever", async () => {
  using fixture = new CopyFixture();
  fixture.write(FILES);
  const endless = STREAM_SCRIPT.replace("exec xargs", "cat /dev/zero; exec xargs");
  const shell = new InterferingShell((script) => (script === STREAM_SCRIPT ? endless : undefined));
  expect(mustFail(await fixture.copy({ shell })).code).toBe("results-changed");
});
