/**
 * How many runs of one machine are followed while they run: a follower holds an SSH session for as long as its job,
 * and the agent, copies and checks need theirs. The others are shown when a place is free; no log is less complete for it.
 */

/** The connection has 8 sessions (ssh/connection.ts): one is the agent's, and copies must find some free. */
const FOLLOWERS_MAX = 3;

export class FollowerPlaces {
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  /** Resolves when there is a place, with how to give it back; null when `abandoned` comes first. */
  async enter(abandoned: Promise<unknown>): Promise<(() => void) | null> {
    if (this.#taken >= FOLLOWERS_MAX) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const admit = () => resolve(true);
      this.#waiting.add(admit);
      void abandoned.then(() => {
        // Only one that still waits: a place that was given is given back by its holder.
        if (this.#waiting.delete(admit)) resolve(false);
      });
      if (!(await promise)) return null;
    } else {
      this.#taken += 1;
    }
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#leave();
    };
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken -= 1;
      return;
    }
    // The place goes on to the next.
    this.#waiting.delete(next);
    next();
  }
}
