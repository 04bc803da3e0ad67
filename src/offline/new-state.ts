/**
 * Writing a state that did not come about by events: in one step, through the store's own writer, and left as a
 * server leaves it, with the past in its history blocks and both generations of the snapshot of the new state.
 */
import { apply } from "../core/apply.ts";
import type { Event } from "../core/event.ts";
import { violations } from "../core/invariants.ts";
import type { State } from "../core/state.ts";
import { openStore } from "../store/recovery.ts";
import type { Store } from "../store/store.ts";

/** Takes the state directory as a server would, and lets go of it whatever happens. @throws StoreError */
export async function withStore<T>(
  options: { readonly stateDir: string; readonly allowNetworkFs: boolean },
  use: (store: Store) => Promise<T>,
): Promise<T> {
  process.umask(0o077);
  const store = await openStore(options.stateDir, {
    allowSnapshotFailure: false,
    allowNetworkFileSystem: options.allowNetworkFs,
    highestIdInLogs: () => -1,
    now: Date.now,
  });
  try {
    return await use(store);
  } finally {
    await store.close(null);
  }
}

/** Before `replaceState` returns nothing has changed; from then on all of it has, and the rest is tidiness. */
export async function putState(store: Store, state: State): Promise<void> {
  const wrong = violations(state);
  if (wrong.length > 0) throw new Error(`the new state would contradict itself: ${wrong[0]}`);
  const sequence = await store.replaceState(state);
  const ended = await store.snapshot(state, sequence);
  const archived: Event = { kind: "jobs-archived", jids: ended.map((job) => job.jid), requestsBefore: 0 };
  await store.close({ state: apply(state, archived), sequence: await store.append([archived]) });
}
