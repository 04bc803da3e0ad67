/** Waits for a condition, never for a time. */
export interface WaitForOptions {
  /** What did not come, for the error. */
  readonly what?: () => string;
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

export async function waitFor(condition: () => boolean | Promise<boolean>, options: WaitForOptions = {}): Promise<void> {
  const { timeoutMs = 30_000, everyMs = 10 } = options;
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${options.what?.() ?? condition.toString()}`);
    await Bun.sleep(everyMs);
  }
}
