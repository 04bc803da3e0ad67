/** What is asked of the server itself: is it there, how is it, stop. */
import type { Handlers } from "../server/handler.ts";
import { isoTime } from "../views/job.ts";
import { stateOf } from "../views/machine.ts";
import type { Services } from "./services.ts";

type ServerHandlers = Pick<Handlers, "server.ping" | "server.status" | "server.stop">;

export function serverHandlers(services: Services): ServerHandlers {
  const { engine, server } = services;
  return {
    "server.ping": async () => ({ version: server.version }),
    "server.status": async () => {
      const machines = { free: 0, busy: 0, quarantined: 0, unreachable: 0 };
      for (const machine of engine.state.machines.values()) machines[stateOf(machine)]++;
      return {
        version: server.version,
        pid: process.pid,
        started: isoTime(server.startedAt),
        address: server.address,
        state_dir: server.stateDir,
        log_dir: server.logDir,
        token_file: server.tokenFile,
        config_file: server.configFile,
        runner: server.runner,
        memory_bytes: process.memoryUsage.rss(),
        jobs: { ...engine.state.counts },
        machines,
        conditions: server.conditions().map(({ code, data }) => ({ code, data: { ...data } })),
      };
    },
    "server.stop": async () => {
      services.requestStop();
      return { pid: process.pid };
    },
  };
}
