/**
 * Puts a seal behind the last record of the journal when nothing else has followed it for a moment. Until then that
 * record alone has no witness, and damage to it would look like a write that was cut short.
 */
import { isNoSpace } from "../store/store-error.ts";

export interface JournalSealOptions {
  readonly store: { seal(): Promise<void> };
  readonly onStorageProblem: (error: unknown) => void;
}

/** After the first record without a seal: a busy server writes one a second, an idle one none. */
const PAUSE_MS = 1_000;

export class JournalSeal {
  private timer: ReturnType<typeof setTimeout> | null = null;
  private stopped = false;

  constructor(private readonly options: JournalSealOptions) {}

  /** At the start, and after each change. */
  consider(): void {
    if (this.stopped || this.timer !== null) return;
    this.timer = setTimeout(() => void this.seal(), PAUSE_MS);
  }

  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private async seal(): Promise<void> {
    this.timer = null;
    try {
      await this.options.store.seal();
    } catch (error) {
      if (this.stopped) return;
      // A full disk refuses nobody anything by this, and may have space in a moment.
      if (!isNoSpace(error)) this.options.onStorageProblem(error);
      this.consider();
    }
  }
}
