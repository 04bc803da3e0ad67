/**
 * A port for a server that a test starts, and starts again. Those that the kernel gives to whoever asks for any port are
 * passed over, because a test that runs beside this one may get it before our server binds it.
 */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";

const LOWEST = 10_000;
const TRIES = 1_000;
/** A name of an abstract socket for each port, so that no other test process draws it while this one lives. */
const held: Server[] = [];

/** @returns a port that nobody has at the address, and that no other test will be given before this process ends */
export async function freePort(address: string): Promise<number> {
  const [kernelsFirst = 0] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/).map(Number);
  const end = kernelsFirst > LOWEST + TRIES ? kernelsFirst : 65_536;
  for (let tries = 0; tries < TRIES; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (end - LOWEST));
    const name = await listening(`\0expjob-test-port-${port}`);
    if (name === null) continue;
    name.unref();
    held.push(name);
    const probe = await listening({ host: address, port });
    if (probe === null) continue;
    const closed = Promise.withResolvers<void>();
    probe.close(() => closed.resolve());
    await closed.promise;
    return port;
  }
  throw new Error(`no free port at ${address}`);
}

/** null when somebody has it. */
function listening(where: string | { readonly host: string; readonly port: number }): Promise<Server | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Server | null>();
  const server = createServer();
  server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(null) : reject(error)));
  server.listen(where, () => resolve(server));
  return promise;
}
