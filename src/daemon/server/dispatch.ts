/** One request to its handler and the handler's answer to a reply: schemas and errors, no sockets. */
import * as v from "valibot";
import { RequestError, type RequestErrorBody } from "../../protocol/error.ts";
import type { ClientMessage } from "../../protocol/message.ts";
import type { Method } from "../../protocol/method.ts";
import { METHODS, type MethodName } from "../../protocol/methods.ts";
import { StoreError } from "../../store/store-error.ts";
import { type Handlers, RequestGone, type StreamContext } from "./handler.ts";
import { storageRefusal } from "./storage-refusal.ts";

export type RequestMessage = Extract<ClientMessage, { kind: "request" }>;

export type Answer = { readonly kind: "result"; readonly result: unknown } | { readonly kind: "error"; readonly error: RequestErrorBody };

export interface Dispatcher {
  readonly handlers: Handlers;
  /** The program's, for clients that ask for what this server does not know. */
  readonly version: string;
  readonly onError: (error: unknown, where: string) => void;
}

/** Never rejects. */
export async function dispatch(dispatcher: Dispatcher, request: RequestMessage, context: StreamContext<unknown>): Promise<Answer> {
  try {
    return { kind: "result", result: await handle(dispatcher, request, context) };
  } catch (error) {
    if (error instanceof RequestError) return refused(error.code, error.data);
    if (error instanceof RequestGone) return refused(error.why === "shutting-down" ? "shutting-down" : "canceled");
    if (error instanceof StoreError) {
      const { code, data } = storageRefusal(error);
      return refused(code, data);
    }
    dispatcher.onError(error, request.method);
    return refused("internal");
  }
}

function handle(dispatcher: Dispatcher, request: RequestMessage, context: StreamContext<unknown>): Promise<unknown> {
  const name = request.method;
  if (!isMethod(name)) throw new RequestError("unknown-method", { method: name, version: dispatcher.version });
  const method: Method = METHODS[name];
  const parsed = v.safeParse(method.params, request.params);
  if (!parsed.success) throw unacceptable(name, parsed.issues[0]);
  // The table's type ties each handler to the schema that has just been checked; TypeScript cannot follow it through a variable name.
  const handler = dispatcher.handlers[name] as unknown as (params: unknown, context: StreamContext<unknown>) => Promise<unknown>;
  return handler(parsed.output, context);
}

function isMethod(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name);
}

/** Says which field and what was expected; never the value, which may be a secret. */
function unacceptable(method: string, issue: v.BaseIssue<unknown>): RequestError {
  const field = v.getDotPath(issue) ?? "";
  const { requirement } = issue;
  const tooMuch = issue.type === "max_bytes" || issue.type === "max_length" || issue.type === "max_value";
  if (tooMuch && typeof requirement === "number") return new RequestError("limit-exceeded", { what: field, max: requirement });
  return new RequestError("bad-request", { method, field, expected: issue.expected ?? issue.type });
}

function refused(code: RequestErrorBody["code"], data: RequestErrorBody["data"] = {}): Answer {
  return { kind: "error", error: { code, data } };
}
