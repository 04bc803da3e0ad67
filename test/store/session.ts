/** A store and the state that the engine would keep beside it, and ready-made state directories. */
import { expect } from "bun:test";
import { applyAll } from "../../src/core/apply.ts";
import type { Event } from "../../src/core/event.ts";
import { isEnded } from "../../src/core/job.ts";
import type { State } from "../../src/core/state.ts";
import { type OpenStoreOptions, openStore } from "../../src/store/recovery.ts";
import type { Store } from "../../src/store/store.ts";
import { StoreError } from "../../src/store/store-error.ts";
import { plain } from "./random-state.ts";
import { contents, jobDone, jobsAdded, numbered } from "./scratch.ts";

const OPTIONS: OpenStoreOptions = {
  allowSnapshotFailure: false,
  allowNetworkFileSystem: true,
  highestIdInLogs: () => -1,
  now: () => Date.UTC(2026, 10, 22, 12),
};
const IGNORED = new Set(["lock"]);

/** A store and the state that its events make, as the engine keeps it. */
export class Session {
  private constructor(
    readonly store: Store,
    public state: State,
  ) {}

  static async open(folder: string, options: Partial<OpenStoreOptions> = {}): Promise<Session> {
    const store = await openStore(folder, { ...OPTIONS, ...options });
    return new Session(store, store.state);
  }

  async append(...events: readonly Event[]): Promise<void> {
    await this.store.append(events);
    this.state = applyAll(this.state, events);
  }

  async snapshot(): Promise<void> {
    const ended = await this.store.snapshot(this.state, this.store.sequence);
    await this.append({ kind: "jobs-archived", jids: ended.map((job) => job.jid), requestsBefore: 0 });
  }

  /** As after kill -9: no snapshot. */
  async drop(): Promise<State> {
    await this.store.close(null);
    return this.state;
  }

  /** @returns the state that is left: without the past */
  async close(): Promise<State> {
    const jids = [...this.state.jobs.values()].filter((job) => isEnded(job.state)).map((job) => job.jid);
    try {
      await this.store.close({ state: this.state, sequence: this.store.sequence });
    } finally {
      if (jids.length > 0) this.state = applyAll(this.state, [{ kind: "jobs-archived", jids, requestsBefore: 0 }]);
    }
    return this.state;
  }
}

export async function stateIn(folder: string, options: Partial<OpenStoreOptions> = {}): Promise<State> {
  return (await Session.open(folder, options)).drop();
}

export async function refusalOf(folder: string, options: Partial<OpenStoreOptions> = {}): Promise<StoreError> {
  const before = withoutLock(folder);
  try {
    await stateIn(folder, options);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    expect(withoutLock(folder)).toEqual(before);
    return error;
  }
  throw new Error("it was opened");
}

function withoutLock(folder: string): unknown {
  return [...contents(folder)].filter(([name]) => !IGNORED.has(name));
}

/** Two generations of snapshots, jobs in history, live ones, and records after the newest snapshot. */
export async function busyDirectory(folder: string): Promise<State> {
  const session = await Session.open(folder);
  await session.append({ kind: "machines-added", at: 1, addrs: ["m"], class: "x" }, jobsAdded(0, 5));
  await session.append(...jobDone(0));
  await session.snapshot();
  await session.append(...jobDone(1));
  await session.append(numbered(1));
  await session.snapshot();
  await session.append(...jobDone(2));
  await session.append(numbered(2));
  return session.drop();
}

export function same(a: State, b: State): void {
  expect(plain(a)).toEqual(plain(b));
}
