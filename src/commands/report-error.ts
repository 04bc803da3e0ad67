/** The words and the exit code of whatever a command ended with: loaded only when something went wrong. */
import { ClientError, exitCodeOf } from "../client/error.ts";
import { ConfigError } from "../config/config-error.ts";
import { RequestError } from "../protocol/error.ts";
import { clientErrorWords } from "../terminal/client-error.ts";
import { requestErrorWords } from "../terminal/request-error.ts";
import { Failure } from "./failure.ts";
import type { Output } from "./output.ts";

/** @returns the exit code. @throws what is no error of ours: a fault of the program */
export function reportError(error: unknown, output: Output): number {
  if (error instanceof Failure) {
    output.error(error.code, error.message, error.hint);
    return error.exitCode;
  }
  if (error instanceof ConfigError) {
    output.error("config", error.message, error.hint);
    return 2;
  }
  if (error instanceof RequestError) {
    const { message, hint } = requestErrorWords(error);
    output.error(error.code, message, hint);
    return requestExitCode(error.code);
  }
  if (error instanceof ClientError) {
    const { message, hint } = clientErrorWords(error);
    output.error(error.code, message, hint);
    return exitCodeOf(error.code);
  }
  throw error;
}

function requestExitCode(code: RequestError["code"]): 1 | 2 | 3 {
  // Only the server knows whether a driver will split the words: the mistake is the typist's all the same.
  if (code === "bad-command") return 2;
  // The server is as good as gone: a script must not take that for "a job failed".
  return code === "shutting-down" ? 3 : 1;
}
