/** A real HTTP server in the place of a webhook's: takes down what it is sent, and answers as the test says. */

export interface Received {
  readonly path: string;
  readonly headers: Headers;
  readonly text: string;
  readonly at: number;
}

export class WebhookServer implements AsyncDisposable {
  readonly received: Received[] = [];
  /** The next answers, in this order; then 200. */
  readonly answers: (() => Response | Promise<Response>)[] = [];
  readonly #server: Bun.Server<undefined>;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        this.received.push({ path: pathname, headers: request.headers, text: await request.text(), at: Date.now() });
        return (await this.answers.shift()?.()) ?? new Response("ok");
      },
    });
  }

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  /** With a path that is as secret as those of Slack. */
  get url(): string {
    return `http://${this.host}/services/T0/B0/unspeakable`;
  }

  /** The texts of messages of kind "slack". */
  get texts(): string[] {
    return this.received.map(({ text }) => (JSON.parse(text) as { text: string }).text);
  }

  json<T>(index: number): T {
    return JSON.parse(this.received[index]?.text ?? "null") as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
