/**
 * How many session channels may be open on one connection. sshd refuses those above its MaxSessions (10 unless
 * the administrator says otherwise), so we stay below, learn a smaller number from a refusal, and queue the rest.
 */
export class ChannelGate {
  readonly #waiting: (() => void)[] = [];
  readonly #limitMax: number;
  #limit: number;
  #open = 0;

  constructor(limit: number) {
    this.#limitMax = limit;
    this.#limit = limit;
  }

  /** Channels that are open or being opened. */
  get open(): number {
    return this.#open;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Resolves when a channel may be opened, first come first served; `release` gives the place back. */
  async enter(): Promise<void> {
    if (this.#open < this.#limit && this.#waiting.length === 0) {
      this.#open += 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }

  release(): void {
    this.#open -= 1;
    this.#admit();
  }

  /** The machine refused the channel of the caller, who still holds its place: the others are all it allows. */
  refused(): void {
    this.#limit = Math.max(1, Math.min(this.#limit, this.#open - 1));
  }

  /** A new connection: what the last one allowed no longer counts. */
  reset(): void {
    this.#limit = this.#limitMax;
    this.#admit();
  }

  #admit(): void {
    while (this.#open < this.#limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#open += 1;
      next();
    }
  }
}
