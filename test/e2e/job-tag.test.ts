/** Tags on the built binary: made and filled by hand, wherever a job can be named, over a kill of the server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type JobJson, TestDaemon } from "../support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/a", "desk");
});
afterAll(() => daemon[Symbol.asyncDispose]());

interface TagJson {
  readonly id: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly jobs: readonly JobJson[];
}

async function newTag(): Promise<number> {
  return (await daemon.json<{ id: number }>("job", "tag", "new")).id;
}

async function members(tag: number): Promise<number[]> {
  return (await daemon.json<TagJson>("job", "tag", "ls", String(tag))).jobs.map(({ jid }) => jid);
}

test("a tag gathers jobs that wait, run, ended and are yet to come, and stands for all of them", async () => {
  const tag = await newTag();
  const done = await daemon.add("desk", "true");
  await daemon.ended(done);
  const waiting = await daemon.add("nowhere", "true");
  const other = await daemon.add("nowhere", "true");
  const queued = await daemon.add("nowhere", "true", "--tag", String(tag));
  expect(await daemon.ok("tag", "set", String(done), `${waiting}-${other}`, String(tag))).toBe(`Put in tag ${tag}: jobs ${done}-${other}`);
  await daemon.kill();
  await daemon.start();
  expect(await members(tag)).toEqual([done, waiting, other, queued]);
  expect((await daemon.jobs(tag)).map(({ jid }) => jid)).toEqual([done, waiting, other, queued]);

  expect(await daemon.ok("job", "tag", "unset", String(other))).toBe(`Untagged job ${other}`);
  expect(await daemon.ok("job", "hold", String(tag))).toBe(`Held jobs ${waiting}, ${queued}`);
  const { jids } = await daemon.json<{ jids: number[] }>("job", "clone", String(tag));
  expect(jids).toHaveLength(3);
  expect(await members(tag)).toEqual([done, waiting, queued, ...jids]);
  await daemon.ok("job", "rm", String(tag));
  expect((await daemon.show(other)).status).toBe("waiting");
  expect(await daemon.ok("tag", "ls")).toMatch(new RegExp(`^ +${tag} +6 `, "m"));
}, 120_000);

test("a job is in one tag at most, and a matrix goes in as a whole", async () => {
  const [a, b] = [await newTag(), await newTag()];
  const { id, jids } = await daemon.json<{ id: number; jids: number[] }>("job", "matrix", "add", "nowhere", "run {A}", "A=1,2,3");
  await daemon.ok("job", "tag", "set", String(id), String(a));
  expect(await members(a)).toEqual(jids);
  await daemon.ok("job", "tag", "set", String(jids[1]), String(b));
  expect([await members(a), await members(b)]).toEqual([[jids[0] ?? -1, jids[2] ?? -1], [jids[1] ?? -1]]);
});

test("retries join the tag of the job they retry", async () => {
  const tag = await newTag();
  const jid = await daemon.add("desk", "exit 1", "--max-failures", "2", "--tag", String(tag));
  await daemon.untilStatus(jid, "failed");
  expect(await members(tag)).toHaveLength(2);
  await daemon.ok("job", "rm", String(tag));
});

test("an empty tag, a tag that is none and jobs that are none are told apart", async () => {
  const tag = await newTag();
  expect(await daemon.json<TagJson>("tag", "ls", String(tag))).toMatchObject({ id: tag, jobs: [] });
  expect(await daemon.j("tag", "ls", "1")).toMatchObject({ code: 1, stderr: expect.stringContaining("There is no tag 1.") });
  expect(await daemon.j("tag", "set", "0", "999999")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("There is no tag 999999."),
  });
  const partly = await daemon.j("tag", "set", "0-1", "888888", String(tag));
  expect(partly).toMatchObject({ code: 1, stderr: expect.stringContaining("888888") });
  expect(await members(tag)).not.toEqual([]);
  expect(await daemon.j("job", "add", "desk", "true", "--tag", "999999")).toMatchObject({ code: 1 });
});
