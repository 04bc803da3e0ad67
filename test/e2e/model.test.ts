/**
 * Two hundred random sequences of what people type, put to the real server and to a simple model: every answer and
 * every listing must be the model's. A failure prints the seed: `EXPJOB_TEST_SEED=n npm test -- e2e/model`.
 */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, connect } from "../../src/client/client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { type ModelJob, type Outcome, QueueModel } from "../support/queue-model.ts";
import { waitFor } from "../support/wait-for.ts";

const seed = Number(process.env["EXPJOB_TEST_SEED"] ?? Date.now() % 2 ** 31);
const sequences = Number(process.env["EXPJOB_TEST_SEQUENCES"] ?? 200);
/** A host that is too slow for all of them plays what it can in this time. */
const ENOUGH_MS = process.env["EXPJOB_TEST_SEED"] === undefined ? 120_000 : Number.POSITIVE_INFINITY;
const SEQUENCES_MIN = 20;
const STEPS = 7;
const CLASSES = ["red", "blue"] as const;

/** mulberry32: small, and the same everywhere. */
function random(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Listed {
  readonly jid: number;
  readonly status: string;
  readonly class: string;
  readonly matrix: number | null;
  readonly tag: number | null;
  readonly variables: Readonly<Record<string, string>>;
  readonly attempt: number;
  readonly retry_of: number | null;
  readonly retried_by: number | null;
  readonly timeout: number | null;
  readonly exit_code: number | null;
  readonly machine: string | null;
}

class Sequence {
  readonly #steps: string[] = [];
  #client: Client | null = null;

  constructor(
    readonly daemon: TestDaemon,
    readonly model: QueueModel,
    readonly chance: () => number,
  ) {}

  async run(): Promise<void> {
    await this.act("machine-add");
    for (let step = 0; step < STEPS; step++) await this.act();
    await this.leave();
  }

  /** What a person had done before it went wrong. */
  get story(): string {
    return this.#steps.join("\n");
  }

  private async act(wanted?: string): Promise<void> {
    const { model } = this;
    const some = this.someJids();
    const ids = some.map(String);
    const className = this.pick(CLASSES);
    switch (wanted ?? this.pick(ACTIONS)) {
      case "machine-add": {
        const addr = `local/${this.pick(["1", "2", "3"])}`;
        await this.typed(["machine", "add", addr, className], () => {
          model.addMachine(addr, className);
          return { code: 0 };
        });
        break;
      }
      case "machine-rm": {
        const addr = `local/${this.pick(["1", "2", "3"])}`;
        await this.typed(["machine", "rm", "-m", addr], () => model.removeMachine(addr));
        break;
      }
      case "add": {
        const maxFailures = this.pick([null, 2] as const);
        const timeout = this.pick([null, 3_600] as const);
        const tag = this.chance() < 0.2 ? (this.pick([...model.tags, 999_999]) ?? null) : null;
        const count = 1 + Math.floor(this.chance() * 3);
        const flags = [
          ...(maxFailures === null ? [] : ["--max-failures", String(maxFailures)]),
          ...(timeout === null ? [] : ["--timeout", `${timeout}s`]),
          ...(tag === null ? [] : ["--tag", String(tag)]),
        ];
        await this.typed(["job", "add", className, this.command(": {V};"), "-x", String(count), ...flags], () =>
          model.add({ class: className, count, maxFailures, timeout, tag }),
        );
        break;
      }
      case "matrix": {
        const values = this.pick([
          ["1", "2"],
          ["", "x,y", "z"],
        ] as const);
        const word = `A=${values.map((value) => value.replaceAll(",", "\\,")).join(",")}`;
        await this.typed(["job", "matrix", "add", className, this.command(": {V} {A};"), word], () => model.addMatrix(className, values));
        break;
      }
      case "var":
        await this.typed(["var", "set", "V", String(some.length)], () => {
          model.variables.set("V", String(some.length));
          return { code: 0 };
        });
        break;
      case "hold":
        await this.typed(["job", "hold", ...ids], () => model.hold(some));
        break;
      case "unhold":
        await this.typed(["job", "unhold", ...ids], () => model.unhold(some));
        break;
      case "rm":
        await this.typed(["job", "rm", ...ids], () => model.cancel(some, false));
        break;
      case "forget":
        await this.typed(["job", "rm", "-f", ...ids], () => model.cancel(some, true));
        break;
      case "clone":
      case "restart": {
        const verb = wanted ?? (this.chance() < 0.5 ? "clone" : "restart");
        const count = verb === "clone" ? 1 + Math.floor(this.chance() * 2) : 1;
        const flags = verb === "clone" ? ["-x", String(count)] : [];
        await this.typed(["job", verb, ...ids, ...flags], () => model.clone(some, count, verb === "restart"));
        break;
      }
      case "settimeout":
        await this.typed(["job", "settimeout", "2h", ...ids], () => model.setTimeout(some, 7_200));
        break;
      case "tag-new": {
        const id = model.newTag();
        this.#steps.push("j job tag new");
        expect(await this.daemon.json<unknown>("job", "tag", "new")).toEqual({ id });
        break;
      }
      case "tag-set": {
        const tag = this.pick([...model.tags]);
        if (tag !== undefined) await this.typed(["job", "tag", "set", ...ids, String(tag)], () => model.setTag(some, tag));
        break;
      }
      case "tag-unset":
        await this.typed(["job", "tag", "unset", ...ids], () => model.setTag(some, null));
        break;
      case "finish": {
        const job = this.pick(model.running());
        const code = this.pick([0, 0, 3]);
        if (job === undefined) break;
        this.#steps.push(`job ${job.jid} exits with ${code}`);
        writeFileSync(this.gate(job.jid), `${code}\n`);
        model.finish(job.jid, code);
        break;
      }
      case "kill":
        this.#steps.push("kill -9 of the server, and a new start");
        this.#client?.close();
        this.#client = null;
        await this.daemon.kill();
        await this.daemon.start();
        break;
    }
    await this.settled();
  }

  /** Types it, and compares exit code and new ids with the model's. */
  private async typed(words: readonly string[], expected: () => Outcome): Promise<void> {
    this.#steps.push(`j ${words.map((word) => JSON.stringify(word)).join(" ")}`);
    const answer = await this.daemon.j(...words, "--json");
    const outcome = expected();
    expect({ code: answer.code, stderr: answer.code === outcome.code ? "" : answer.stderr }).toEqual({ code: outcome.code, stderr: "" });
    if (outcome.jids !== undefined && outcome.jids.length > 0) {
      expect((JSON.parse(answer.stdout) as { jids: number[] }).jids).toEqual([...outcome.jids]);
    }
  }

  /** Waits until the listing is the model's, and takes over which machine was chosen. */
  private async settled(): Promise<void> {
    const wanted = (): string => JSON.stringify([...this.model.jobs.values()].map(fromModel));
    let listed: Listed[] = [];
    try {
      await waitFor(
        async () => {
          listed = await this.listed();
          return JSON.stringify(listed.map(fromListing)) === wanted();
        },
        { timeoutMs: 8_000, everyMs: 20 },
      );
    } catch {
      // Says where they differ.
      expect(listed.map(fromListing)).toEqual([...this.model.jobs.values()].map(fromModel));
    }
    for (const { jid, machine } of listed) {
      const job = this.model.jobs.get(jid);
      if (job !== undefined) job.machine = machine;
    }
    const busy = this.model.running().map((job) => job.machine);
    expect(new Set(busy).size).toBe(busy.length);
  }

  private async listed(): Promise<Listed[]> {
    const lowest = Math.min(...this.model.jobs.keys());
    if (this.model.jobs.size === 0) return [];
    // Asked by a client that stays: typing it each time would take most of the test's time.
    const { jobs } = await (await this.client()).call("job.show", { ids: [{ kind: "range", first: lowest, last: this.model.nextId }] });
    return jobs;
  }

  /** Nothing is left for the next sequence; a matrix goes with its last job. */
  private async leave(): Promise<void> {
    const matrices = [...this.model.matrices];
    const jids = [...this.model.jobs.keys()];
    if (jids.length > 0) await this.typed(["job", "rm", "-f", ...jids.map(String)], () => this.model.cancel(jids, true));
    for (const addr of [...this.model.machines.keys()]) {
      await this.typed(["machine", "rm", "-m", addr], () => this.model.removeMachine(addr));
    }
    await waitFor(async () => (await this.daemon.ok("machine", "ls", "-q")) === "", { what: () => "an empty pool" });
    expect(await this.daemon.ok("job", "ls", "-q")).toBe("");
    this.#client?.close();
    for (const id of matrices) expect((await this.daemon.j("job", "matrix", "ls", String(id))).code).toBe(1);
  }

  private async client(): Promise<Client> {
    this.#client ??= await connect({ address: this.daemon.address, tokenFile: join(this.daemon.stateDir, "token") });
    return this.#client;
  }

  private someJids(): number[] {
    const all = [...this.model.jobs.keys()];
    const count = 1 + Math.floor(this.chance() * 3);
    const some = Array.from({ length: count }, () => this.pick(all) ?? this.model.nextId);
    return [...new Set(this.chance() < 0.1 ? [...some, this.model.nextId + 5] : some)];
  }

  private gate(jid: number): string {
    return join(this.daemon.folder, "gates", String(jid));
  }

  /** Runs until its gate says with which code to end. */
  private command(first: string): string {
    return `${first} while ! [ -s '${this.gate(0).slice(0, -1)}{JID}' ]; do sleep 0.02; done; exit $(cat '${this.gate(0).slice(0, -1)}{JID}')`;
  }

  private pick<Item>(items: readonly [Item, ...Item[]]): Item;
  private pick<Item>(items: readonly Item[]): Item | undefined;
  private pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.chance() * items.length)];
  }
}

const ACTIONS = [
  "machine-add",
  "machine-add",
  "machine-rm",
  "add",
  "add",
  "add",
  "matrix",
  "var",
  "hold",
  "unhold",
  "rm",
  "forget",
  "clone",
  "settimeout",
  "tag-new",
  "tag-set",
  "tag-unset",
  "finish",
  "finish",
  "finish",
  "kill",
] as const;

function fromModel({ retryOf, retriedBy, exitCode, machine: _, maxFailures: __, ...job }: ModelJob): unknown {
  return inOrder({ ...job, retry_of: retryOf, retried_by: retriedBy, exit_code: job.status === "canceled" ? null : exitCode });
}

function fromListing({ jid, status, class: name, matrix, tag, variables, attempt, timeout, ...rest }: Listed): unknown {
  const { retry_of, retried_by, exit_code } = rest;
  const code = status === "canceled" ? null : exit_code;
  return inOrder({ jid, status, class: name, matrix, tag, variables, attempt, timeout, retry_of, retried_by, exit_code: code });
}

function inOrder(record: Readonly<Record<string, unknown>>): unknown {
  const { variables, ...rest } = record;
  return Object.fromEntries([...Object.entries(rest).sort(), ["variables", Object.entries(variables ?? {}).sort()]]);
}

test(`${sequences} random sequences of commands are answered as a simple model answers them (seed ${seed})`, async () => {
  const config =
    '[limits]\nkill_grace = "2s"\nfailures_before_quarantine = 1000000\n[class.red]\nbackoff = "0.05s"\n[class.blue]\nbackoff = "0.05s"\n';
  await using daemon = await TestDaemon.start({ config });
  mkdirSync(join(daemon.folder, "gates"));
  const chance = random(seed);
  let nextId = 0;
  let variable: string | undefined;
  const began = performance.now();
  let played = 0;
  for (; played < sequences && (played < SEQUENCES_MIN || performance.now() - began < ENOUGH_MS); played++) {
    const model = new QueueModel(nextId);
    if (variable !== undefined) model.variables.set("V", variable);
    const sequence = new Sequence(daemon, model, chance);
    try {
      await sequence.run();
    } catch (error) {
      throw new Error(`sequence ${played} of seed ${seed}:\n${sequence.story}\n${daemon.stderr}`, { cause: error });
    }
    ({ nextId } = model);
    variable = model.variables.get("V");
  }
  expect(nextId).toBeGreaterThan(played);
  if (played < sequences) console.warn(`only ${played} of ${sequences} sequences in ${ENOUGH_MS / 1_000} s`);
}, 300_000);
