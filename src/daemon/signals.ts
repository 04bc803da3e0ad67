/** The signals that a server obeys. SIGHUP never ends it: neither a terminal that closes nor `kill -HUP`. */

const STOPPING = ["SIGTERM", "SIGINT"] as const;

export class Signals {
  /** SIGHUP; before it is set, the signal does nothing. */
  onHangUp: () => void = () => undefined;
  private readonly hangUp = (): void => this.onHangUp();

  /** From now on. */
  constructor(private readonly stop: () => void) {
    for (const signal of STOPPING) process.on(signal, stop);
    process.on("SIGHUP", this.hangUp);
  }

  /** They are the system's again. */
  release(): void {
    for (const signal of STOPPING) process.off(signal, this.stop);
    process.off("SIGHUP", this.hangUp);
  }
}
