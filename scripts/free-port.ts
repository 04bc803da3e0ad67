/** TCP ports of this host: finding one, and seeing whether somebody listens. */
import { connect, createServer } from "node:net";

/** A port that was free a moment ago. */
export async function freePort(address: string): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject);
  server.listen(0, address, () => {
    const bound = server.address();
    server.close(() => (bound !== null && typeof bound === "object" ? resolve(bound.port) : reject(new Error("no port"))));
  });
  return promise;
}

export function canConnect(address: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: address, port });
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}
