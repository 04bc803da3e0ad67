/** How a command ends when it cannot be done: each has a code for scripts, words for people, and its exit code. */

export class Failure extends Error {
  override readonly name: string = "Failure";
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly exitCode = 1,
  ) {
    super(message);
  }
}

/** Wrong usage: nothing was sent. */
export class UsageError extends Failure {
  override readonly name = "UsageError";
  constructor(message: string, hint: string) {
    super("usage", message, hint, 2);
  }
}
