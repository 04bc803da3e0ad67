/** Alarms by name, of any length: setTimeout fires at once beyond 2^31 ms. None goes off after `stop`. */

const STEP_MAX_MS = 2 ** 31 - 1;

export class Timers {
  private readonly running = new Map<string, ReturnType<typeof setTimeout>>();
  private stopped = false;

  constructor(private readonly now: () => number) {}

  /** Calls once at `at` (milliseconds since the epoch); an alarm of the same name is replaced. */
  set(name: string, at: number, call: () => void): void {
    this.clear(name);
    if (this.stopped) return;
    const step = (): void => {
      const leftMs = at - this.now();
      if (leftMs <= 0) {
        this.running.delete(name);
        call();
        return;
      }
      this.running.set(name, setTimeout(step, Math.min(leftMs, STEP_MAX_MS)));
    };
    this.running.set(name, setTimeout(step, Math.min(Math.max(at - this.now(), 0), STEP_MAX_MS)));
  }

  has(name: string): boolean {
    return this.running.has(name);
  }

  clear(name: string): void {
    const timer = this.running.get(name);
    if (timer !== undefined) clearTimeout(timer);
    this.running.delete(name);
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.running.values()) clearTimeout(timer);
    this.running.clear();
  }
}
