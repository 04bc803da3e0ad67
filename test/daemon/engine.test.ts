/** The engine against a journal whose disk we hold in our hands. */
import { describe, expect, test } from "bun:test";
import { applyAll } from "../../src/core/apply.ts";
import { DEFAULT_LIMITS, type UserCommand } from "../../src/core/command.ts";
import type { Event } from "../../src/core/event.ts";
import { violations } from "../../src/core/invariants.ts";
import type { Effect } from "../../src/core/react.ts";
import { EMPTY_STATE } from "../../src/core/state.ts";
import { Engine } from "../../src/daemon/engine.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { StoreError } from "../../src/store/store-error.ts";
import { waitFor } from "../support/wait-for.ts";

/** Takes records like the journal's writer: in order, and a refusal refuses all that wait. */
class HeldJournal {
  readonly records: (readonly Event[])[] = [];
  private readonly waiting: { events: readonly Event[]; resolve: (sequence: number) => void; reject: (error: Error) => void }[] = [];

  append(events: readonly Event[]): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.waiting.push({ events, resolve, reject });
    return promise;
  }

  sync(): void {
    for (const { events, resolve } of this.waiting.splice(0)) resolve(this.records.push(events));
  }

  refuse(cause = new Error("no space")): void {
    for (const { reject } of this.waiting.splice(0)) reject(cause);
  }

  get held(): number {
    return this.waiting.length;
  }

  get events(): readonly Event[] {
    return this.records.flat();
  }
}

class Bench {
  readonly journal = new HeldJournal();
  readonly effects: Effect[] = [];
  readonly problems: unknown[] = [];
  readonly faults: string[] = [];
  dispatching = true;
  private runs = 0;

  /** @param nameRun throws in the place of naming a run */
  constructor(private readonly nameRun: () => void = () => undefined) {}

  readonly engine = new Engine({
    state: EMPTY_STATE,
    sequence: 0,
    append: (events) => this.journal.append(events),
    now: () => 1_000,
    limits: DEFAULT_LIMITS,
    bootId: null,
    newRun: ({ job, machine }) => {
      this.nameRun();
      return { runId: `run${this.runs++}`, machine, log: `/logs/${job.jid}`, errLog: `/logs/${job.jid}.err` };
    },
    mayDispatch: () => this.dispatching,
    perform: (effect) => this.effects.push(effect),
    onStorageProblem: (error) => this.problems.push(error),
    onFault: (error, where) => this.faults.push(`${where}: ${String(error)}`),
  });

  async durably<T>(step: Promise<T>): Promise<T> {
    this.journal.sync();
    return await step;
  }
}

function addJob(cmd = "true"): UserCommand {
  return { kind: "add-jobs", class: "foo", cmd, copyTo: null, count: 1, retry: null, timeoutSeconds: null, tag: null, notify: false };
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  promise.then(
    () => {
      done = true;
    },
    () => {
      done = true;
    },
  );
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return done;
}

describe("a reply means it is durable", () => {
  test("nothing is answered or shown before the journal has synced", async () => {
    const { engine, journal } = new Bench();
    const answer = engine.submit(addJob());
    expect(await settled(answer)).toBe(false);
    expect(engine.state.jobs.size).toBe(0);
    journal.sync();
    expect(await answer).toEqual({ kind: "jobs", first: 0, count: 1 });
    expect(engine.state.jobs.size).toBe(1);
    expect(engine.sequence).toBe(1);
  });

  test("a request that changes nothing waits for what its answer rests on", async () => {
    const { engine, journal } = new Bench();
    const first = engine.submit(addJob());
    const hold: UserCommand = { kind: "hold-jobs", jids: [7], lenient: false };
    const second = engine.submit(hold);
    expect(await settled(second)).toBe(false);
    journal.sync();
    expect(await second).toEqual({ kind: "per-job", failed: [{ jid: 7, code: "no-such-job" }] });
    await first;
  });

  test("effects come after the sync, never before", async () => {
    const bench = new Bench();
    const { engine, journal, effects } = bench;
    await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    const added = engine.submit(addJob());
    await settled(added);
    expect(effects).toEqual([]);
    journal.sync();
    await added;
    expect(effects).toEqual([{ kind: "start-run", jid: 0 }]);
  });

  test("a machine gets its next job before the traces of its last are removed", async () => {
    const bench = new Bench();
    const { engine } = bench;
    await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    await bench.durably(engine.submit(addJob()));
    await bench.durably(engine.submit(addJob()));
    await bench.durably(engine.observe({ kind: "run-started", jid: 0, runId: "run0", at: 1_000 }));
    bench.effects.length = 0;
    const exit = { startedAt: null, at: 1_000, exitCode: 0, prefixes: [], invalidLine: null };
    await bench.durably(engine.observe({ kind: "run-exited", jid: 0, runId: "run0", ...exit }));
    expect(bench.effects.map(({ kind }) => kind)).toEqual(["start-run", "release-run"]);
  });

  test("the job and its start are one record", async () => {
    const bench = new Bench();
    await bench.durably(bench.engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    await bench.durably(bench.engine.submit(addJob()));
    expect(bench.journal.records.at(-1)?.map((event) => event.kind)).toEqual(["jobs-added", "job-starting"]);
  });
});

describe("a refused write", () => {
  test("is answered with the error, and what was decided on top of it goes too", async () => {
    const bench = new Bench();
    const { engine, journal } = bench;
    const first = engine.submit(addJob("a"));
    const second = engine.submit(addJob("b"));
    const outcomes = Promise.allSettled([first, second]);
    journal.refuse();
    expect((await outcomes).map((outcome) => outcome.status)).toEqual(["rejected", "rejected"]);
    expect(engine.state).toBe(EMPTY_STATE);
    // The ids were never given: the next job gets the first.
    expect(await bench.durably(engine.submit(addJob("c")))).toEqual({ kind: "jobs", first: 0, count: 1 });
    expect(engine.state.jobs.get(0)?.spec.cmd).toBe("c");
  });

  test("performs no effect", async () => {
    const bench = new Bench();
    await bench.durably(bench.engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    const refused = bench.engine.submit(addJob());
    const outcome = Promise.allSettled([refused]);
    bench.journal.refuse();
    await outcome;
    expect(bench.effects).toEqual([]);
    expect(violations(bench.engine.state)).toEqual([]);
  });

  test("does not lose what was observed: it is written when there is space again", async () => {
    const bench = new Bench();
    const { engine, journal } = bench;
    await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    await bench.durably(engine.submit(addJob()));
    const started = engine.observe({ kind: "run-started", jid: 0, runId: "run0", at: 1_001 });
    journal.refuse();
    await waitFor(() => journal.held > 0);
    journal.sync();
    await started;
    expect(engine.state.jobs.get(0)?.state.kind).toBe("running");
    expect(bench.problems).toHaveLength(1);
    engine.stop();
  });
});

describe("a request id", () => {
  test("gets one answer and one job however often it is sent", async () => {
    const bench = new Bench();
    const { engine, journal } = bench;
    const tries = [engine.submit(addJob(), "r1"), engine.submit(addJob(), "r1")];
    journal.sync();
    const [first, second] = await Promise.all(tries);
    expect(second).toEqual(first);
    expect(await engine.submit(addJob(), "r1")).toEqual(first as never);
    expect(engine.state.jobs.size).toBe(1);
  });

  test("whose request was refused may be used again", async () => {
    const bench = new Bench();
    const { engine, journal } = bench;
    const refused = Promise.allSettled([engine.submit(addJob(), "r1")]);
    journal.refuse();
    await refused;
    expect(await bench.durably(engine.submit(addJob(), "r1"))).toEqual({ kind: "jobs", first: 0, count: 1 });
  });
});

test("a command that the rules refuse is a RequestError with the rule's code", async () => {
  const { engine } = new Bench();
  const bad: UserCommand = { kind: "add-machines", addrs: ["-oProxyCommand=x"], class: "foo" };
  const refusal = await engine.submit(bad).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(RequestError);
  expect((refusal as RequestError).code).toBe("bad-machine-name");
});

test("nothing is handed out while the scheduler is closed, and all that waits when it opens", async () => {
  const bench = new Bench();
  const { engine } = bench;
  bench.dispatching = false;
  await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
  await bench.durably(engine.submit(addJob()));
  expect(engine.state.jobs.get(0)?.state.kind).toBe("waiting");
  bench.dispatching = true;
  await bench.durably(engine.dispatch());
  expect(engine.state.jobs.get(0)?.state.kind).toBe("starting");
});

test("replaying what was written gives the state that was shown", async () => {
  const bench = new Bench();
  const { engine, journal } = bench;
  await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local", "local/b"], class: "foo" }));
  for (let job = 0; job < 5; job++) await bench.durably(engine.submit(addJob(`echo ${job}`), `r${job}`));
  for (const jid of [0, 1]) {
    const run = { jid, runId: `run${jid}` };
    await bench.durably(engine.observe({ kind: "run-started", ...run, at: 1_001 }));
    const exit = { exitCode: jid, startedAt: null, at: 1_002, prefixes: [], invalidLine: null };
    await bench.durably(engine.observe({ kind: "run-exited", ...run, ...exit }));
  }
  expect(applyAll(EMPTY_STATE, journal.events)).toEqual(engine.state);
  expect(engine.state.counts).toMatchObject({ done: 1, failed: 1, running: 2, waiting: 1 });
});

describe("a defect of ours", () => {
  test("in a listener or an effect is said, and keeps neither the answer nor the other effects back", async () => {
    const bench = new Bench();
    const { engine, faults, effects } = bench;
    const heard: string[] = [];
    engine.subscribe(() => {
      throw new Error("planted listener");
    });
    engine.subscribe(({ events }) => heard.push(...events.map((event) => event.kind)));
    await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    expect(await bench.durably(engine.submit(addJob()))).toEqual({ kind: "jobs", first: 0, count: 1 });
    expect(heard).toEqual(["machines-added", "jobs-added", "job-starting"]);
    expect(effects).toEqual([{ kind: "start-run", jid: 0 }]);
    expect(faults[0]).toContain("planted listener");
  });

  test("in naming a run keeps jobs from starting, not requests from being answered", async () => {
    const bench = new Bench(() => {
      throw new RangeError("planted name");
    });
    await bench.durably(bench.engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    expect(await bench.durably(bench.engine.submit(addJob()))).toEqual({ kind: "jobs", first: 0, count: 1 });
    expect(bench.engine.state.jobs.get(0)?.state.kind).toBe("waiting");
    expect(bench.faults.join()).toContain("planted name");
  });
});

describe("a record that is too large", () => {
  const tooLarge = new StoreError("record-too-large", { bytes: 2, bytesMax: 1 });

  test("is its author's concern: refused, and no word of a broken storage", async () => {
    const bench = new Bench();
    const outcome = bench.engine.submit(addJob()).catch((error: unknown) => error);
    bench.journal.refuse(tooLarge);
    expect(await outcome).toBe(tooLarge);
    expect(bench.problems).toEqual([]);
  });

  test("of a fact is not tried again every second", async () => {
    const bench = new Bench();
    const { engine, journal } = bench;
    await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
    const observed = engine.observe({ kind: "machine-unreachable", addr: "local", problem: { code: "unreachable", data: {} } });
    journal.refuse(tooLarge);
    await observed;
    expect(bench.faults).toHaveLength(1);
    expect(journal.held).toBe(0);
  });
});

test("after the stop nothing is observed any more: what ends with our connections is no news of the machines", async () => {
  const bench = new Bench();
  const { engine, journal } = bench;
  await bench.durably(engine.submit({ kind: "add-machines", addrs: ["local"], class: "foo" }));
  const refused = engine.observe({ kind: "machine-unreachable", addr: "local", problem: { code: "unreachable", data: {} } });
  void refused;
  engine.stop();
  journal.refuse();
  await engine.observe({ kind: "machine-unreachable", addr: "local", problem: { code: "unreachable", data: {} } });
  expect(journal.held).toBe(0);
});

test("what a request was answered with is known by its id once it is durable", async () => {
  const bench = new Bench();
  const asked = bench.engine.submit(addJob(), "r1");
  expect(bench.engine.answerTo("r1")).toBeNull();
  await bench.durably(asked);
  expect(bench.engine.answerTo("r1")).toEqual({ kind: "jobs", first: 0, count: 1 });
  expect(bench.engine.answerTo(null)).toBeNull();
});

test("a job that was forgotten is not brought back by who read it before, unless the disk refused to forget it", async () => {
  const { engine, journal } = new Bench();
  const cancel = { kind: "cancel-jobs", jids: [0], recalled: [], lenient: false } as const;
  const adding = engine.submit(addJob());
  journal.sync();
  await adding;
  const ending = engine.submit({ ...cancel, forget: false });
  journal.sync();
  await ending;
  const read = [...engine.state.jobs.values()];
  const tagging = engine.submit({ kind: "add-tag" });
  journal.sync();
  await tagging;
  const refused = engine.submit({ ...cancel, forget: true });
  journal.refuse();
  await expect(refused).rejects.toThrow("no space");
  const forgetting = engine.submit({ ...cancel, forget: true });
  journal.sync();
  await forgetting;
  expect(engine.state.jobs.size).toBe(0);
  const tagged = engine.submit({ kind: "tag-jobs", jids: [0], recalled: read, lenient: false, tag: 1 });
  expect(await tagged).toEqual({ kind: "per-job", failed: [{ jid: 0, code: "no-such-job" }] });
  expect(engine.state.jobs.size).toBe(0);
});
