import { expect, setDefaultTimeout, test } from "bun:test";
import { CopyQueue } from "../../../src/daemon/copier/copy-queue.ts";
import { LIST_SCRIPT } from "../../../src/daemon/copier/scripts.ts";
import { waitFor } from "../../support/wait-for.ts";
import { CopyFixture, InterferingShell, mustBeCopied, mustFail, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

test("four copies run at once, the others wait", async () => {
  using fixture = new CopyFixture();
  fixture.write({ exp7: "x", go: "" });
  const queue = new CopyQueue();
  const begun: number[] = [];
  const copies = Array.from({ length: 12 }, (_, jid) => {
    const shell = new InterferingShell((script) => {
      if (script !== LIST_SCRIPT) return undefined;
      begun.push(jid);
      return `while ! [ -e ${fixture.source}/begin ]; do sleep 0.02; done\n${script}`;
    });
    return queue.copy(fixture.options({ shell, jid }));
  });
  await waitFor(() => begun.length === 4);
  expect([queue.running, queue.waiting]).toEqual([4, 8]);
  fixture.write({ begin: "" });
  for (const outcome of await Promise.all(copies)) mustBeCopied(outcome);
  expect(begun).toHaveLength(12);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("who waits first is served first", async () => {
  using fixture = new CopyFixture();
  fixture.write({ exp7: "x" });
  const queue = new CopyQueue({ copiesMax: 1 });
  const ended: number[] = [];
  await Promise.all([5, 3, 9, 1].map((jid) => queue.copy(fixture.options({ jid })).then(() => ended.push(jid))));
  expect(ended).toEqual([5, 3, 9, 1]);
});

test("a copy that is canceled while it waits leaves its place to the next", async () => {
  using fixture = new CopyFixture();
  fixture.write({ exp7: "x" });
  const queue = new CopyQueue({ copiesMax: 1 });
  const first = new AbortController();
  const second = new AbortController();
  const silent = new InterferingShell((script) => (script === LIST_SCRIPT ? "exec sleep 1000" : undefined));
  const copies = [
    queue.copy(fixture.options({ jid: 1, shell: silent, signal: first.signal })),
    queue.copy(fixture.options({ jid: 2, signal: second.signal })),
    queue.copy(fixture.options({ jid: 3 })),
  ] as const;
  await waitFor(() => silent.scripts.length === 1);
  second.abort();
  expect(mustFail(await copies[1]).code).toBe("canceled");
  first.abort();
  expect(mustFail(await copies[0]).code).toBe("canceled");
  mustBeCopied(await copies[2]);
  expect(mustFail(await queue.copy(fixture.options({ signal: AbortSignal.abort() }))).code).toBe("canceled");
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("eight jobs with one CP_PATH and one name lose nothing", async () => {
  using fixture = new CopyFixture();
  const queue = new CopyQueue({ copiesMax: 8 });
  const jids = [1, 2, 3, 4, 5, 6, 7, 8];
  for (const jid of jids) fixture.write({ [`machine${jid}/exp7/result`]: `of job ${jid}`, [`machine${jid}/exp7/own${jid}`]: "x" });
  const outcomes = await Promise.all(
    jids.map((jid) => queue.copy(fixture.options({ jid, startDirectory: `${fixture.source}/machine${jid}` }))),
  );
  const names = ["result", ...[1, 2, 3, 4, 5, 6, 7].map((number) => `result.~${number}~`)];
  expect(names.map((name) => fixture.read(`exp7/${name}`)).sort()).toEqual(jids.map((jid) => `of job ${jid}`));
  expect(Object.keys(tree(fixture.target))).toHaveLength(1 + 8 + 8);
  const moved = outcomes.flatMap((outcome) => mustBeCopied(outcome).displaced);
  expect(moved).toHaveLength(7);
  for (const { jid, to } of moved) expect(fixture.read(to)).toBe(`of job ${jid}`);
});
