/** Passes bytes between a port and a server's, as `ssh -L` or a squatter's relay does; can cut or watch them. */
import { connect, createServer, type Socket } from "node:net";

export interface ForwardOptions {
  readonly host?: string;
  readonly port?: number;
  readonly to: { readonly host: string; readonly port: number };
  readonly onUpstream?: (bytes: Uint8Array) => void;
  /** Answers whether the connection goes on; false cuts it before these bytes are passed to the client. */
  readonly onDownstream?: (bytes: Uint8Array) => boolean;
}

export interface Forwarder extends AsyncDisposable {
  readonly port: number;
}

export async function forwardPort(options: ForwardOptions): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: options.to.host, port: options.to.port });
    for (const socket of [near, far]) {
      sockets.add(socket);
      // A cut is what these tests are about; close follows.
      socket.on("error", () => undefined);
    }
    near.on("data", (bytes) => {
      options.onUpstream?.(bytes);
      far.write(bytes);
    });
    far.on("data", (bytes) => {
      if (options.onDownstream?.(bytes) === false) near.destroy();
      else near.write(bytes);
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((resolve, reject) =>
    server.once("error", reject).listen(options.port ?? 0, options.host ?? "127.0.0.1", resolve),
  );
  const address = server.address();
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: typeof address === "object" && address !== null ? address.port : 0, [Symbol.asyncDispose]: close };
}
