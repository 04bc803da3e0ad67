/** Trouble while it runs: a full disk, a driver that vanishes, peers of another version. Said once, clearly; nothing lost. */
import { expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeHello } from "../../src/protocol/handshake.ts";
import { squat } from "../client/squatter.ts";
import { mountSmall } from "../daemon/runner/small-file-system.ts";
import { RawPeer } from "../daemon/server/raw-peer.ts";
import { TestDaemon } from "../support/daemon.ts";
import { waitFor } from "../support/wait-for.ts";

test("a driver that vanishes: jobs wait, `job why` says so, and they go on by themselves when it is back", async () => {
  await using daemon = await TestDaemon.prepare();
  const driver = join(daemon.folder, "driver");
  writeFileSync(driver, '#!/bin/sh\nexec sh -c "$1"\n', { mode: 0o755 });
  await daemon.start(["--runner", driver]);
  await daemon.ok("machine", "add", "10.0.0.1", "lab");
  expect((await daemon.ended(await daemon.add("lab", "true"))).status).toBe("done");
  const go = join(daemon.folder, "go");
  const running = await daemon.add("lab", `'while ! [ -e ${go} ]; do sleep 0.05; done; exit 5'`);
  await daemon.untilStatus(running, "running");
  renameSync(driver, `${driver}.away`);
  const jids = [await daemon.add("lab", "true"), await daemon.add("lab", "true")];
  writeFileSync(go, "");
  expect(await daemon.ended(running)).toMatchObject({ status: "failed", exit_code: 5 });
  const [first = -1, second = -1] = jids;
  await waitFor(async () => (await daemon.ok("job", "why", String(first))).includes(driver), { everyMs: 50 });
  expect((await daemon.jobs(...jids)).map((job) => job.status)).toEqual(["waiting", "waiting"]);
  expect(await daemon.ok("status")).toContain(driver);
  renameSync(`${driver}.away`, driver);
  chmodSync(driver, 0o755);
  expect(await daemon.ended(first)).toMatchObject({ status: "done", attempt: 1, exit_code: 0 });
  expect((await daemon.ended(second)).status).toBe("done");
  const [machine] = await daemon.json<{ state: string; failures: number }[]>("machine", "ls");
  expect(machine).toMatchObject({ state: "free", failures: 0 });
});

test.skipIf(process.getuid?.() !== 0)(
  "a full disk: new jobs are refused by name, the running one ends as it truly did, and accepting resumes by itself (SKIPPED unless root)",
  async () => {
    const small = mountSmall("size=600k");
    if (small === null) throw new Error("no tmpfs could be mounted");
    try {
      await using daemon = await TestDaemon.start({ stateDir: join(small.folder, "state") });
      await daemon.ok("machine", "add", "local", "here");
      const go = join(daemon.folder, "go");
      const running = await daemon.add("here", `while ! [ -e '${go}' ]; do sleep 0.05; done; echo end; exit 9`);
      await daemon.untilStatus(running, "running");
      const filler = join(small.folder, "filler");
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=1k"], { stderr: "ignore" });

      let refused = await daemon.j("job", "add", "here", "echo no room");
      // What is left of the last block takes a few records.
      while (refused.code === 0) refused = await daemon.j("job", "add", "here", "echo no room");
      expect(refused.code).toBe(1);
      const lines = refused.stderr.trimEnd().split("\n");
      expect(lines).toHaveLength(2);
      expect(lines[0]).toContain(`disk of the server is full at "${daemon.stateDir}`);
      expect((await daemon.j("var", "set", "NAME", "x".repeat(60_000), "--secret")).stderr).toContain("full");
      expect(await daemon.ok("status")).toContain("No space is left");
      const acknowledged = (await daemon.json<{ jid: number }[]>("job", "ls", "-n", "100")).map((job) => job.jid);

      // The job's end cannot be written down now; it is not forgotten either.
      writeFileSync(go, "");
      const log = (await daemon.show(running)).log ?? "";
      await waitFor(() => readFileSync(log, "utf8") === "end\n");
      expect((await daemon.j("ping")).code).toBe(0);
      rmSync(filler);
      expect(await daemon.ended(running)).toMatchObject({ status: "failed", exit_code: 9 });
      const after = await daemon.add("here", "echo room");
      expect((await daemon.ended(after)).status).toBe("done");
      for (const jid of acknowledged) expect((await daemon.ended(jid)).attempt).toBe(1);
      expect(await daemon.ok("status")).not.toContain("No space is left");
    } finally {
      small.close();
    }
  },
  120_000,
);

test("a server of another major version: one line with both versions and what to do, and nothing is sent to it", async () => {
  await using daemon = await TestDaemon.start();
  const hello = encodeHello({
    protocol: { major: 2, minor: 0 },
    nonce: crypto.getRandomValues(new Uint8Array(32)),
    programVersion: "9.9.9",
  });
  await using newer = squat({ answer: hello });
  const answer = await daemon.j("job", "ls", "--address", newer.address);
  expect(answer.code).toBe(1);
  const lines = answer.stderr.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain("version 9.9.9");
  expect(lines[1]).toContain("Restart the server");
});

test("a client of another major version hears ours, and nothing is done for it", async () => {
  await using daemon = await TestDaemon.start();
  using peer = await RawPeer.connect(daemon.port);
  peer.write(encodeHello({ protocol: { major: 2, minor: 0 }, nonce: crypto.getRandomValues(new Uint8Array(32)), programVersion: "9.9.9" }));
  await waitFor(() => peer.closed);
  expect(Buffer.from(peer.received).toString("latin1")).toMatch(/^\xe7expjob\n/);
  expect((await daemon.j("ping")).code).toBe(0);
});

test("a newer client of the same major version: fields we do not know are dropped, and of a method it is told our version", async () => {
  await using daemon = await TestDaemon.start();
  const token = Buffer.from(readFileSync(join(daemon.stateDir, "token"), "utf8").trim(), "hex");
  using peer = await RawPeer.authenticated(daemon.port, token);
  peer.request(1, "server.ping", { of_the_future: { deep: [1, 2, 3] } });
  expect((await peer.answered(1))?.kind).toBe("result");
  peer.request(2, "job.teleport", {});
  expect(await peer.answered(2)).toMatchObject({
    kind: "error",
    error: { code: "unknown-method", data: { version: expect.stringMatching(/^\d+\.\d+\.\d+/) } },
  });
});

test("no server at all: exit 3, and how to start one", async () => {
  await using daemon = await TestDaemon.prepare();
  await daemon.start();
  await daemon.stop();
  const answer = await daemon.j("job", "ls");
  expect(answer.code).toBe(3);
  expect(answer.stderr).toContain("No server answers");
  expect(answer.stderr).toContain("expjobserver serve");
  expect(existsSync(join(daemon.stateDir, "token"))).toBe(true);
});
