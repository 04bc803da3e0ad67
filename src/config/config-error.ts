/** A setting that cannot be used: wherever it came from, it is wrong usage (exit 2) and nothing was done. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(
    message: string,
    /** What to do about it. */
    readonly hint: string,
  ) {
    super(message);
  }
}
