/** What people do while the server is killed under them, written down for the judge. */
import { connect } from "../../src/client/client.ts";
import { ClientError } from "../../src/client/error.ts";
import { RequestError } from "../../src/protocol/error.ts";
import type { TestDaemon } from "../support/daemon.ts";
import type { Oracle } from "./oracle.ts";

export interface LoadOptions {
  readonly daemon: TestDaemon;
  readonly oracle: Oracle;
  readonly chance: () => number;
  readonly class: string;
}

export class Load {
  over = false;
  submitted = 0;
  readonly #waiting: number[] = [];

  constructor(private readonly options: LoadOptions) {}

  /** Until it is over: a few jobs at a time, with a pause between. */
  async submit(): Promise<void> {
    while (!this.over) {
      await this.once();
      // tidy-allow sleep: the random moment is what is tested
      await Bun.sleep(20 + Math.floor(this.options.chance() * 60));
    }
  }

  private async once(): Promise<void> {
    const exitCode = this.pick([0, 0, 0, 3, 143]);
    const maxFailures = this.pick([1, 1, 2]);
    const jobs = 1 + Math.floor(this.options.chance() * 2);
    const request = this.options.oracle.asks({ count: jobs, exitCode, maxFailures });
    try {
      const client = await connect({
        address: this.options.daemon.address,
        tokenFile: `${this.options.daemon.stateDir}/token`,
        timeoutMs: 2_000,
      });
      try {
        const answer = await client.call("job.add", {
          class: this.options.class,
          cmd: this.options.oracle.command(`sleep 0.0${Math.floor(this.options.chance() * 10)}; echo done; exit ${exitCode}`),
          cp_results: null,
          count: jobs,
          retry: maxFailures === 1 ? null : { max_failures: maxFailures },
          timeout: null,
          tag: null,
          notify: false,
        });
        const jids = Array.from({ length: answer.count }, (_, index) => answer.first + index);
        this.options.oracle.acknowledged(request, jids);
        this.submitted += jids.length;
        this.#waiting.push(...jids);
        await this.disturb(client);
      } finally {
        client.close();
      }
    } catch (error) {
      // It was killed in the middle: no acknowledgement, nothing is promised.
      if (!(error instanceof ClientError) && !(error instanceof RequestError)) throw error;
    }
  }

  /** Some are held and let go again; no job is canceled while it runs, so that every end has its exit code. */
  private async disturb(client: Awaited<ReturnType<typeof connect>>): Promise<void> {
    const jid = this.#waiting.shift();
    if (jid === undefined) return;
    const ids = [{ kind: "id", id: jid } as const];
    if (this.options.chance() < 0.3) await client.call("job.hold", { ids });
    if (this.options.chance() < 0.3) await client.call("job.unhold", { ids });
  }

  private pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[Math.floor(this.options.chance() * items.length)] ?? items[0];
  }
}
