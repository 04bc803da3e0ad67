/**
 * Owns politeness: loops of quick synchronous system calls (some ten microseconds each) ask it after each
 * step, and it lets the rest of the daemon run before the event loop has been held for long.
 */
const SLICE_MS = 8;

export class TimeSlice {
  #since = performance.now();

  /** True when the loop should `await pause()` before its next step. */
  get over(): boolean {
    return performance.now() - this.#since > SLICE_MS;
  }

  async pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#since = performance.now();
  }
}
