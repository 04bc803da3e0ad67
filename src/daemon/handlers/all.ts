/** The table of handlers. Its type is the declaration of the methods: one that is missing does not compile. */
import type { Handlers } from "../server/handler.ts";
import { jobHandlers } from "./job.ts";
import { machineHandlers } from "./machine.ts";
import { matrixHandlers } from "./matrix.ts";
import { serverHandlers } from "./server.ts";
import type { Services } from "./services.ts";
import { variableHandlers } from "./variable.ts";

export function allHandlers(services: Services): Handlers {
  return {
    ...serverHandlers(services),
    ...variableHandlers(services),
    ...machineHandlers(services),
    ...jobHandlers(services),
    ...matrixHandlers(services),
  };
}
