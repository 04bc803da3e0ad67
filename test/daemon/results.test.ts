/** Copies of results as the engine hears of them. The copier itself is under test in copier/. */
import { describe, expect, test } from "bun:test";
import { problem } from "../../src/core/problem.ts";
import type { CopyOutcome } from "../../src/daemon/copier/copy-results.ts";
import { waitFor } from "../support/wait-for.ts";
import { Assembly, type AssemblyOptions } from "./assembly.ts";

type Copy = NonNullable<AssemblyOptions["copy"]>;

function done(more: Partial<Extract<CopyOutcome, { kind: "copied" }>> = {}): CopyOutcome {
  const record = "/results/.expjobserver/0.toml";
  return { kind: "copied", resultsPath: "/results/a", record, files: [], displaced: [], warnings: [], ...more };
}

/** A copy that goes on until it is aborted, as the copier ends it then. */
const endless: Copy = ({ signal }) =>
  new Promise((resolve) => {
    const end = (): void => resolve({ kind: "failed", problem: problem("canceled"), retryable: true });
    signal?.addEventListener("abort", end);
    if (signal?.aborted === true) end();
  });

async function copying(options: AssemblyOptions): Promise<{ daemon: Assembly; jid: number }> {
  const daemon = await Assembly.open(options);
  await daemon.pool("x", "far");
  const { jid, runId } = await daemon.running({ copyTo: "/results" });
  daemon.printed(jid, "RESULTS: a\n");
  daemon.hosts.finish(runId, 0);
  return { daemon, jid };
}

describe("a copy", () => {
  test("that succeeds makes the job done", async () => {
    const { daemon, jid } = await copying({ copy: async () => done() });
    await using _ = daemon;
    await daemon.until(jid, "done");
    expect(daemon.job(jid).state).toMatchObject({ results: { path: "/results/a" } });
  });

  test("that fails while its machine answers fails the job, and the run directory stays", async () => {
    const cause = problem("transfer-cut", { machine: "far" });
    const { daemon, jid } = await copying({ copy: async () => ({ kind: "failed", problem: cause, retryable: true }) });
    await using _ = daemon;
    await daemon.until(jid, "failed");
    expect(daemon.job(jid).state).toMatchObject({ exitCode: 0, resultsNotCopied: true, problem: cause });
    expect(daemon.hosts.runs.size).toBe(1);
    expect(daemon.machine("far").assignment.kind).toBe("free");
  });

  test("whose machine went away waits for it, holds nothing against the job, and goes on when it is back", async () => {
    let tries = 0;
    let isAway = true;
    const { daemon, jid } = await copying({
      copy: async () => {
        tries++;
        if (!isAway) return done();
        daemon.hosts.unreachable.set("far", problem("unreachable", { machine: "far" }));
        return { kind: "failed", problem: problem("transfer-cut", { machine: "far" }), retryable: true };
      },
    });
    await using _ = daemon;
    await waitFor(() => tries > 0 && daemon.machine("far").health.kind === "unreachable");
    expect(daemon.job(jid).state.kind).toBe("copying");
    expect(daemon.machine("far").assignment.kind).toBe("busy");
    isAway = false;
    daemon.hosts.reconnect("far");
    await daemon.until(jid, "done");
    await waitFor(() => daemon.machine("far").health.kind === "ok");
  });

  test("that waits for its machine ends when the job is canceled", async () => {
    const { daemon, jid } = await copying({
      copy: async () => {
        daemon.hosts.unreachable.set("far", problem("unreachable", { machine: "far" }));
        return { kind: "failed", problem: problem("unreachable"), retryable: true };
      },
    });
    await using _ = daemon;
    await waitFor(() => daemon.machine("far").health.kind === "unreachable");
    await daemon.cancel(jid);
    expect(daemon.job(jid).state.kind).toBe("canceled");
    expect(daemon.machine("far").assignment.kind).toBe("free");
  });

  test("that is under way when the job is canceled is aborted, and nothing comes of it later", async () => {
    const { daemon, jid } = await copying({ copy: endless });
    await using _ = daemon;
    await waitFor(() => daemon.results.isCopying(jid));
    await daemon.cancel(jid);
    await waitFor(() => !daemon.results.isCopying(jid));
    expect(daemon.job(jid).state.kind).toBe("canceled");
  });

  test("that a stop of the server ends is no failure: the next start takes it up", async () => {
    const { daemon: first, jid } = await copying({ copy: endless });
    await waitFor(() => first.results.isCopying(jid));
    await using daemon = await first.restart({ copy: async () => done() });
    expect(daemon.job(jid).state.kind).toBe("copying");
    await daemon.begin();
    await daemon.until(jid, "done");
  });

  test("on which we stumble ourselves is said and fails the job, not the server", async () => {
    const { daemon, jid } = await copying({
      copy: async () => {
        throw new TypeError("planted");
      },
    });
    await using _ = daemon;
    await daemon.until(jid, "failed");
    expect(daemon.log.errors.join()).toContain("planted");
  });

  test("names secrets nowhere in what is recorded of it", async () => {
    const seen: string[] = [];
    const daemon = await Assembly.open({
      copy: async ({ provenance, target }) => {
        seen.push(JSON.stringify(provenance), target);
        return done();
      },
    });
    await using _ = daemon;
    await daemon.store.secrets.set("KEY", "canary-7f3a");
    await daemon.engine.submit({ kind: "set-variable", name: "KEY", value: "", secret: true });
    await daemon.pool("x", "far");
    const { jid, runId } = await daemon.running({ cmd: "run {KEY}", copyTo: "/results" });
    daemon.printed(jid, "RESULTS: a\n");
    daemon.hosts.finish(runId, 0);
    await daemon.until(jid, "done");
    expect(seen).toHaveLength(2);
    expect([...seen, ...daemon.log.lines].join()).not.toContain("canary");
  });
});

test("a file that a later copy set aside is found under its new name in the record of its own job", async () => {
  const files = [{ path: "out", bytes: 1, sha256: "00" }];
  const daemon = await Assembly.open({
    copy: async ({ jid }) =>
      jid === 0
        ? done({ resultsPath: "/results/out", files })
        : done({ record: "/results/.expjobserver/1.toml", displaced: [{ jid: 0, from: "out", to: "out.~1~" }] }),
  });
  await using _ = daemon;
  await daemon.pool("x", "far");
  for (const jid of [0, 1]) {
    const { runId } = await daemon.running({ copyTo: "/results" });
    daemon.printed(jid, "RESULTS: out\n");
    daemon.hosts.finish(runId, 0);
    await daemon.until(jid, "done");
  }
  expect(daemon.job(0).state).toMatchObject({ results: { path: "/results/out.~1~", files: [{ path: "out.~1~" }] } });
});
