/**
 * Replies to requests that changed something, by request id: a client that did not get its reply asks again and
 * gets the same one (D2), not what the change looks like afterwards. After a restart the durable answers of the
 * engine keep the change from being made twice.
 */

/** A client asks again within seconds. */
const REPLIES_KEPT_MAX = 256;

export class Replies {
  private readonly kept = new Map<string, Promise<unknown>>();

  /** One `make` a request id, also for tries that come together. A request that fails may be tried again. */
  once<Reply>(requestId: string | null, make: () => Promise<Reply>): Promise<Reply> {
    if (requestId === null) return make();
    const known = this.kept.get(requestId);
    // The id is random: what is kept under it is of this method.
    if (known !== undefined) return known as Promise<Reply>;
    const reply = make();
    this.kept.set(requestId, reply);
    reply.catch(() => this.kept.delete(requestId));
    const oldest = this.kept.keys().next();
    if (this.kept.size > REPLIES_KEPT_MAX && oldest.done !== true) this.kept.delete(oldest.value);
    return reply;
  }
}
