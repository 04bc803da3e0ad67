/** Something else on a port of ours: accepts, and says whatever the test wants it to. */
export interface Squatter extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** What clients have sent to it, all together. */
  readonly heard: Uint8Array[];
}

export interface SquatterOptions {
  /** Sent as soon as somebody connects. */
  readonly greeting?: Uint8Array | string;
  /** Sent in answer to whatever comes. */
  readonly answer?: Uint8Array | string | ((bytes: Uint8Array) => Uint8Array | string);
  readonly hangUp?: "at once" | "after the answer";
}

export function squat(options: SquatterOptions): Squatter {
  const heard: Uint8Array[] = [];
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        if (options.greeting !== undefined) socket.write(options.greeting);
        if (options.hangUp === "at once") socket.end();
      },
      data: (socket, bytes) => {
        heard.push(bytes.slice());
        if (options.answer !== undefined) socket.write(typeof options.answer === "function" ? options.answer(bytes) : options.answer);
        if (options.hangUp === "after the answer") socket.end();
      },
    },
  });
  const stop = async (): Promise<void> => listener.stop(true);
  return { port: listener.port, address: `127.0.0.1:${listener.port}`, heard, [Symbol.asyncDispose]: stop };
}
