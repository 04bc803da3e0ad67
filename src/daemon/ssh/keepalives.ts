/**
 * The keepalives of all links, sent in one go: an idle server then wakes once an interval and not once a machine.
 * A link is given up when nothing came back in as many intervals as are allowed.
 */
import type { SshLink } from "./link.ts";

export interface KeepaliveLimits {
  readonly keepaliveIntervalMs: number;
  /** The link is dead when this many intervals passed since the last answer. */
  readonly keepaliveCountMax: number;
}

/** Sent in a row: some milliseconds. Others get their turn before the next. */
const LINKS_PER_TURN = 50;

export class Keepalives {
  /** With how many keepalives have been sent since the last answer. */
  readonly #unanswered = new Map<SshLink, number>();
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(private readonly limits: KeepaliveLimits) {}

  /** Until its death. */
  watch(link: SshLink): void {
    this.#unanswered.set(link, 0);
    this.#timer ??= setInterval(() => this.#send([...this.#unanswered.keys()]), this.limits.keepaliveIntervalMs);
    link.onDeath(() => this.#forget(link));
  }

  #forget(link: SshLink): void {
    this.#unanswered.delete(link);
    if (this.#unanswered.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #send(links: readonly SshLink[]): void {
    for (const link of links.slice(0, LINKS_PER_TURN)) this.#sendTo(link);
    if (links.length > LINKS_PER_TURN) setImmediate(() => this.#send(links.slice(LINKS_PER_TURN)));
  }

  #sendTo(link: SshLink): void {
    const unanswered = this.#unanswered.get(link);
    if (unanswered === undefined) return;
    // The last interval is one of waiting only.
    if (unanswered + 1 >= this.limits.keepaliveCountMax) return link.givenUp();
    this.#unanswered.set(link, unanswered + 1);
    link.sendKeepalive(() => {
      if (link.dead === null) this.#unanswered.set(link, 0);
    });
  }
}
