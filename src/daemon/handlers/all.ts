/** The table of handlers. Its type is the declaration of the methods: one that is missing does not compile. */
import { METHODS, type MethodName } from "../../protocol/methods.ts";
import type { Handler, Handlers } from "../server/handler.ts";
import { completionHandlers } from "./completion.ts";
import { jobHandlers } from "./job.ts";
import { jobLifeHandlers } from "./job-life.ts";
import { jobLogHandlers } from "./job-log.ts";
import { jobResultsHandlers } from "./job-results.ts";
import { jobStatHandlers } from "./job-stat.ts";
import { machineHandlers } from "./machine.ts";
import { matrixHandlers } from "./matrix.ts";
import { notifyHandlers } from "./notify.ts";
import { Replies } from "./replies.ts";
import { serverHandlers } from "./server.ts";
import type { Services } from "./services.ts";
import { tagHandlers } from "./tag.ts";
import { variableHandlers } from "./variable.ts";

export function allHandlers(services: Services): Handlers {
  return answeredOnce({
    ...serverHandlers(services),
    ...variableHandlers(services),
    ...machineHandlers(services),
    ...jobHandlers(services),
    ...jobLifeHandlers(services),
    ...jobLogHandlers(services),
    ...jobStatHandlers(services),
    ...jobResultsHandlers(services),
    ...matrixHandlers(services),
    ...tagHandlers(services),
    ...completionHandlers(services),
    ...notifyHandlers(services),
  });
}

/** What changes something is answered alike however often the client has to ask. */
function answeredOnce(handlers: Handlers): Handlers {
  const replies = new Replies();
  const once = <M extends MethodName>(name: M, handler: Handler<M>): Handler<M> =>
    METHODS[name].mutates
      ? (params, context) =>
          replies.once(context.requestId === null ? null : `${name} ${context.requestId}`, () => handler(params, context))
      : handler;
  const wrapped = Object.entries(handlers).map(([name, handler]) => [name, once(name as MethodName, handler as Handler<MethodName>)]);
  // Each handler went through as it came: the table has the same names and types.
  return Object.fromEntries(wrapped) as Handlers;
}
