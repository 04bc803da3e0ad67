/** `j job cpresults` and `mvresults` on the built binary, with results on a machine over SSH. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";

if (!sshdAvailable()) console.warn("SKIPPED: results taken elsewhere, because there is no sshd");

describe.skipIf(!sshdAvailable())("results of ended jobs", () => {
  let machines: TestMachines;
  let daemon: TestDaemon;
  beforeAll(async () => {
    machines = await startMachines(1);
  });
  afterAll(async () => {
    await machines[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    daemon = await TestDaemon.start({ machines: machines.all });
    await daemon.ok("machine", "add", ...machines.addresses, "lab");
  });
  afterEach(async () => {
    await daemon[Symbol.asyncDispose]();
  });
  const at = (...names: string[]): string => join(daemon.folder, ...names);

  /** A job that writes one file and prints its name. */
  async function ended(text: string, ...more: string[]): Promise<number> {
    const there = at("there", text);
    const jid = await daemon.add(
      "lab",
      `mkdir -p '${there}'; echo ${text} >'${there}/out'; echo to the log; echo 'RESULTS: ${there}/out'`,
      ...more,
    );
    await daemon.ended(jid);
    return jid;
  }

  test("that could not be copied are fetched with cpresults: the job is done, and its machine keeps nothing of it", async () => {
    // A file where the folder should be: no server may write there, root's neither.
    writeFileSync(at("results"), "in the way");
    const jid = await ended("one", at("results"));
    const failed = await daemon.show(jid);
    expect(failed.status).toBe("failed");
    expect(failed.error).toStartWith("results not copied:");
    const runs = join(machines.home(0), ".local/state/expjobserver/runs");
    const kept = (): string[] =>
      readdirSync(runs, { recursive: true })
        .map(String)
        .filter((name) => name.includes(`${jid}.0.`));
    expect(kept()).not.toEqual([]);
    const said = await daemon.ok("job", "cpresults", at("new", "{JID}"), String(jid));
    expect(said).toBe(`Job ${jid}: ${at("new", String(jid), "out")} (1 file, 4 B)`);
    const done = await daemon.show(jid);
    expect(done).toMatchObject({ status: "done", error: null, results_path: at("new", String(jid), "out") });
    expect(readFileSync(done.results_path ?? "", "utf8")).toBe("one\n");
    expect((await daemon.j("job", "wait", String(jid))).code).toBe(0);
    await waitFor(() => kept().length === 0, { what: () => kept().join(" ") });
    // The log came along, and is still where it was.
    expect(readdirSync(at("new", String(jid))).filter((name) => name.startsWith(`${jid}-`))).toHaveLength(2);
    expect(daemon.output(done)).toContain("to the log");
  });

  test("that were to be recorded only are fetched later", async () => {
    const jid = await ended("only");
    expect(await daemon.show(jid)).toMatchObject({ status: "done", results_path: null });
    await daemon.ok("job", "cpresults", "new", String(jid));
    expect(await daemon.show(jid)).toMatchObject({ status: "done", results_path: at("new/out") });
    expect(readFileSync(at("new/out"), "utf8")).toBe("only\n");
  });

  test("are moved: show and log say the new place, moving again is harmless, and what is in the way is kept", async () => {
    const [first, second] = [await ended("first", at("results/a")), await ended("second", at("results/b"))];
    mkdirSync(at("new"));
    writeFileSync(at("new/out"), "by hand\n");
    for (let times = 1; times <= 2; times += 1) {
      const said = await daemon.json<{ jid: number; results_path: string; files: number; error: string | null }[]>(
        "job",
        "mvresults",
        at("new"),
        `${first}-${second}`,
      );
      expect(said.map(({ jid, files, error }) => [jid, files, error])).toEqual([
        [first, 1, null],
        [second, 1, null],
      ]);
      for (const jid of [first, second]) {
        const job = await daemon.show(jid);
        const text = jid === first ? "first" : "second";
        expect(readFileSync(job.results_path ?? "", "utf8")).toBe(`${text}\n`);
        expect(job.log).toStartWith(at("new/"));
        expect(await daemon.ok("job", "log", String(jid))).toBe(job.log ?? "");
        expect(daemon.output(job)).toContain("to the log");
        expect(await daemon.ok("job", "log", "-t", String(jid))).toContain("to the log");
      }
    }
    const names = readdirSync(at("new")).filter((name) => name.startsWith("out"));
    expect(names.toSorted()).toEqual(["out", "out.~1~", "out.~2~"]);
    expect(names.map((name) => readFileSync(at("new", name), "utf8")).toSorted()).toEqual(["by hand\n", "first\n", "second\n"]);
    expect([...readdirSync(at("results/a")), ...readdirSync(at("results/b"))]).toEqual([]);
    expect(readdirSync(at("logs")).filter((name) => /^\d+-/.test(name))).toEqual([]);
    await daemon.kill();
    await daemon.start();
    expect((await daemon.show(first)).log).toStartWith(at("new/"));
  });

  test("each that cannot be taken is one clear error, the rest is done, and the exit code is 1", async () => {
    const jid = await ended("kept", at("results"));
    chmodSync(at("results/out"), 0o600);
    writeFileSync(at("results/out"), "by hand\n");
    const answer = await daemon.j("job", "cpresults", at("new"), String(jid), "77");
    expect(answer.code).toBe(1);
    expect(answer.stderr).toContain(`Job ${jid}: The result "${at("results/out")}" was changed since it was copied here.`);
    expect(answer.stderr).toContain("There is no job, matrix or tag 77.");
    expect(existsSync(at("new/out"))).toBe(false);
    expect(readdirSync(at("new")).filter((name) => name.startsWith(`${jid}-`))).toHaveLength(2);
    expect((await daemon.j("job", "cpresults", at("new"), String(jid), "-q")).stdout).toBe(`${jid}\n`);
  });

  test("need a folder that is no id, and no secret in its name: wrong usage is exit 2, and nothing is sent", async () => {
    const slip = await daemon.j("job", "mvresults", "3", "4");
    expect([slip.code, slip.stderr.split("\n")[0]]).toEqual([2, '"3" is a job id, and the folder comes first.']);
    expect((await daemon.j("job", "cpresults", at("new"))).code).toBe(2);
    const jid = await ended("text");
    await daemon.ok("var", "set", "KEY", "canary", "--secret");
    const secret = await daemon.j("job", "cpresults", at("new-{KEY}"), String(jid));
    expect([secret.code, secret.stderr.includes("a secret may not stand in a path")]).toEqual([1, true]);
    expect(readdirSync(daemon.folder).filter((name) => name.startsWith("new"))).toEqual([]);
  });
});
