/** An interactive shell on a terminal of its own, typed at as a person does: what is shown, and what the line is after a TAB. */
import { waitFor } from "./wait-for.ts";

export interface TypedShellOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Shown once it waits for input. */
  readonly prompt: string;
}

/** Ctrl-X Ctrl-P: the start-up file of a test binds it to print `LINE<` the line `>LINE`. */
const TELL_LINE = "\x18\x10";
const CLEAR_LINE = "\x15";

export class TypedShell implements AsyncDisposable {
  #shown = "";

  private constructor(
    private readonly child: Bun.Subprocess,
    private readonly terminal: Bun.Terminal,
  ) {}

  static async start(options: TypedShellOptions): Promise<TypedShell> {
    let take = (_bytes: Uint8Array): void => undefined;
    const terminal = new Bun.Terminal({ cols: 160, rows: 50, data: (_terminal, bytes) => take(bytes) });
    const child = Bun.spawn(["setsid", "--ctty", "--wait", ...options.command], {
      cwd: options.cwd,
      env: { ...options.env, TERM: "xterm" },
      terminal,
    });
    const shell = new TypedShell(child, terminal);
    take = (bytes) => shell.#take(bytes);
    await waitFor(() => shell.#shown.includes(options.prompt), { what: () => `the prompt: ${shell.#shown}`, timeoutMs: 20_000 });
    return shell;
  }

  /** Types on an empty line, then TAB. @returns the line as it then is, and what was shown meanwhile */
  async tab(typed: string): Promise<{ readonly line: string; readonly shown: string }> {
    this.#shown = "";
    this.terminal.write(`${CLEAR_LINE}${typed}\t${TELL_LINE}`);
    const found = (): string | undefined => /LINE<([\s\S]*?)>LINE/.exec(this.#shown)?.[1];
    await waitFor(() => found() !== undefined, { what: () => `the line after ${JSON.stringify(typed)}: ${JSON.stringify(this.#shown)}` });
    return { line: found() ?? "", shown: Bun.stripANSI(this.#shown) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The shell loses its terminal, and is waited for.
    this.terminal.close();
    await this.child.exited;
  }

  #take(bytes: Uint8Array): void {
    this.#shown += new TextDecoder().decode(bytes);
  }
}
