/** Following a log: every byte once, in order, to the end, whatever becomes of the job and of the file. */
import { describe, expect, test } from "bun:test";
import { appendFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { waitFor } from "../../support/wait-for.ts";
import { Desk, ids } from "./desk.ts";

function follow(desk: Desk, jid: number, tailBytes: number | null = null, signal?: AbortSignal) {
  const chunks: Uint8Array[] = [];
  const params = { jid, stream: "stdout", tail_bytes: tailBytes } as const;
  const end = desk.call("job.follow", params, {
    ...(signal === undefined ? {} : { signal }),
    emit: async (chunk) => void chunks.push(Uint8Array.from(chunk as Uint8Array)),
  });
  return { end, text: () => Buffer.concat(chunks).toString() };
}

async function running(): Promise<{ desk: Desk; log: string; runId: string }> {
  const desk = await Desk.open();
  await desk.daemon.pool("x", "m");
  await desk.add();
  await desk.daemon.until(0, "running");
  const { log, runId } = desk.daemon.run(0);
  writeFileSync(log, "");
  return { desk, log, runId };
}

describe("following a log", () => {
  test("of a running job shows what is there, what comes, and what came last", async () => {
    const { desk, log, runId } = await running();
    await using _ = desk;
    writeFileSync(log, "one\n");
    const { end, text } = follow(desk, 0);
    await waitFor(() => text() === "one\n");
    appendFileSync(log, "two\n");
    await waitFor(() => text() === "one\ntwo\n");
    appendFileSync(log, "last");
    desk.daemon.hosts.finish(runId, 0);
    expect(await end).toEqual({ status: "done" });
    expect(text()).toBe("one\ntwo\nlast");
  });

  test("of a waiting job begins when it does, and of one that is canceled before ends", async () => {
    await using desk = await Desk.open();
    await desk.add("a", { count: 2 });
    const first = follow(desk, 0);
    const second = follow(desk, 1);
    await desk.call("job.cancel", { ids: ids(1), forget: false });
    expect(await second.end).toEqual({ status: "canceled" });
    const began = waitFor(() => desk.daemon.job(0).state.kind === "starting" || desk.daemon.job(0).state.kind === "running");
    desk.daemon.dispatching = false;
    await desk.daemon.pool("x", "m");
    writeFileSync(`${desk.daemon.folder}/0-log`, "out");
    desk.daemon.dispatching = true;
    await desk.daemon.engine.dispatch();
    await began;
    await desk.daemon.until(0, "running");
    await waitFor(() => first.text() === "out");
    desk.daemon.hosts.finish(desk.daemon.run(0).runId, 0);
    expect((await first.end).status).toBe("done");
  });

  test("of an ended job shows its last bytes and ends", async () => {
    const { desk, log, runId } = await running();
    await using _ = desk;
    writeFileSync(log, "0123456789");
    desk.daemon.hosts.finish(runId, 1);
    await desk.daemon.until(0, "failed");
    const { end, text } = follow(desk, 0, 3);
    expect([(await end).status, text()]).toEqual(["failed", "789"]);
  });

  test("of a job that is forgotten meanwhile ends with its last bytes", async () => {
    const { desk, log } = await running();
    await using _ = desk;
    writeFileSync(log, "all of it");
    const { end, text } = follow(desk, 0);
    await waitFor(() => text() === "all of it");
    await desk.call("job.cancel", { ids: ids(0), forget: true });
    expect(await end).toEqual({ status: "canceled" });
  });

  test("of a job that is lost ends, because nothing tells when more would come", async () => {
    const { desk, runId } = await running();
    await using _ = desk;
    const { end } = follow(desk, 0);
    desk.daemon.hosts.lose(runId);
    expect(await end).toEqual({ status: "unknown" });
  });

  test("that was moved away goes on in the file that the job writes", async () => {
    const { desk, log, runId } = await running();
    await using _ = desk;
    writeFileSync(log, "a");
    const { end, text } = follow(desk, 0);
    await waitFor(() => text() === "a");
    renameSync(log, `${log}.moved`);
    appendFileSync(`${log}.moved`, "b");
    desk.daemon.hosts.finish(runId, 0);
    await end;
    expect(text()).toBe("ab");
  });

  test("that is missing, or of a job that is not there, is refused by name", async () => {
    const { desk } = await running();
    await using _ = desk;
    renameSync(desk.daemon.run(0).log, `${desk.daemon.folder}/away`);
    expect(await follow(desk, 0).end.catch((error: Error) => error.message)).toStartWith("log-missing");
    expect(await follow(desk, 9).end.catch((error: Error) => error.message)).toStartWith("no-such-job");
  });

  test("ends with its reader", async () => {
    const { desk } = await running();
    await using _ = desk;
    const gone = new AbortController();
    const { end } = follow(desk, 0, null, gone.signal);
    const outcome = end.catch(String);
    gone.abort(new Error("gone"));
    expect(await outcome).toContain("gone");
  });
});

describe("a log that was compressed", () => {
  async function compressed(text: string): Promise<Desk> {
    const { desk, log, runId } = await running();
    desk.daemon.hosts.finish(runId, 0);
    await desk.daemon.until(0, "done");
    rmSync(log);
    writeFileSync(`${log}.gz`, gzipSync(text));
    return desk;
  }

  test("is sent as it was, whole and from its end", async () => {
    const text = "0123456789\n".repeat(20_000);
    await using desk = await compressed(text);
    const whole = follow(desk, 0);
    expect([await whole.end, whole.text() === text]).toEqual([{ status: "done" }, true]);
    const tail = follow(desk, 0, 7);
    await tail.end;
    expect(tail.text()).toBe("456789\n");
    const more = follow(desk, 0, 10_000_000);
    await more.end;
    expect(more.text() === text).toBe(true);
  });

  test("has a size that is not known, one that is not has one", async () => {
    const { desk, log } = await running();
    await using _ = desk;
    writeFileSync(log, "12345");
    expect(await desk.call("job.log-size", { jid: 0, stream: "stdout" })).toEqual({ bytes: 5 });
    await using other = await compressed("12345");
    expect(await other.call("job.log-size", { jid: 0, stream: "stdout" })).toEqual({ bytes: null });
  });

  test("and is damaged is refused by name", async () => {
    await using desk = await compressed("text");
    writeFileSync(`${desk.daemon.run(0).log}.gz`, "no gzip");
    expect(await follow(desk, 0).end.catch((error: Error) => error.message)).toMatch(/^log-missing .*\.gz/);
  });
});

describe("the logs of a setup job", () => {
  async function secondCommand(): Promise<{ desk: Desk; logs: string[]; runId: string }> {
    const desk = await Desk.open();
    const { daemon } = desk;
    const setup = { kind: "add-setups", addrs: ["m"], class: "x", cmds: ["one", "two"], timeoutSeconds: null } as const;
    await daemon.engine.submit({ ...setup, staggerSeconds: 0, notify: false });
    await daemon.engine.dispatch();
    await daemon.until(0, "running");
    const first = daemon.run(0);
    writeFileSync(first.log, "first\n");
    return { desk, logs: [first.log, `${first.log}.second`], runId: first.runId };
  }

  async function goOn({ desk, logs, runId }: { desk: Desk; logs: string[]; runId: string }): Promise<void> {
    const { engine } = desk.daemon;
    const { log, errLog, machine } = desk.daemon.run(0);
    const step = { command: 1, startedAt: 1, earlier: [{ log, errLog }] };
    const nextRun = { runId: "second", machine, log: logs[1] ?? "", errLog: `${errLog}.second`, step };
    const exited = {
      kind: "run-exited",
      jid: 0,
      runId,
      startedAt: 1,
      at: Date.now(),
      exitCode: 0,
      prefixes: [],
      invalidLine: null,
    } as const;
    await engine.observe({ ...exited, nextRun });
    writeFileSync(nextRun.log, "second\n");
  }

  test("follow each other, with an empty chunk between them", async () => {
    const setup = await secondCommand();
    await using desk = setup.desk;
    const chunks: string[] = [];
    const end = desk.call(
      "job.follow",
      { jid: 0, stream: "stdout", tail_bytes: null },
      { emit: async (chunk) => void chunks.push(Buffer.from(chunk as Uint8Array).toString()) },
    );
    await waitFor(() => chunks.length === 1);
    await goOn(setup);
    await desk.daemon.until(0, "running");
    await waitFor(() => chunks.length === 3);
    desk.daemon.hosts.finish("second", 0);
    expect(await end).toEqual({ status: "done" });
    expect(chunks).toEqual(["first\n", "", "second\n"]);
    expect(await desk.call("job.log-size", { jid: 0, stream: "stdout" })).toEqual({ bytes: 13 });
    // The end of a setup job's output is that of all its commands together; a chunk stands for the beginning of each.
    for (const [bytes, text] of [
      [100, "first\n||second\n"],
      [9, "t\n||second\n"],
      [3, "|nd\n"],
    ] as const) {
      const pieces: string[] = [];
      const params = { jid: 0, stream: "stdout", tail_bytes: bytes } as const;
      await desk.call("job.follow", params, { emit: async (chunk) => void pieces.push(Buffer.from(chunk as Uint8Array).toString()) });
      expect(pieces.join("|")).toBe(text);
    }
  });
});

test("a log that [retention] deleted is said to be expired; one that is only gzipped, or was taken away by a person, is not", async () => {
  const { desk, log, runId } = await running();
  await using _ = desk;
  desk.daemon.hosts.finish(runId, 0);
  await desk.daemon.until(0, "done");
  const asked = async () => (await desk.call("job.logs", { ids: ids(0), running: false })).logs[0];
  renameSync(log, `${log}.gz`);
  writeFileSync(`${log}.err`, "");
  desk.deletesLogs = true;
  expect(await asked()).toMatchObject({ log, err_log: `${log}.err` });
  expect(await asked()).not.toHaveProperty("expired");
  renameSync(`${log}.gz`, `${desk.daemon.folder}/away`);
  expect(await asked()).toMatchObject({ log: null, err_log: `${log}.err`, expired: true });
  expect(await follow(desk, 0).end.catch((error: Error) => error.message)).toBe('log-expired {"jid":0}');
  desk.deletesLogs = false;
  expect(await asked()).toMatchObject({ log });
});
