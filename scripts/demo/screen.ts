/** What the demo prints: lines, and in a terminal a block that is redrawn in place. Survives a reader that is gone. */
import { writeSync } from "node:fs";
import { isatty, type WriteStream } from "node:tty";

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export class DemoScreen {
  readonly isTerminal = isatty(1) && process.env.TERM !== "dumb";
  readonly colours = this.isTerminal && (process.env.NO_COLOR ?? "") === "";
  /** Lines of the block on the screen now. */
  #drawn = 0;

  get size(): Size {
    const stdout: Partial<WriteStream> = process.stdout;
    return { columns: stdout.columns || 80, rows: stdout.rows || 24 };
  }

  line(text = ""): void {
    write(`${text}\n`);
  }

  heading(text: string): void {
    this.line(this.colours ? `\n\x1b[1m${text}\x1b[22m` : `\n${text}`);
  }

  /** Replaces the block. No line may be wider than the screen, and all must fit its height. */
  draw(lines: readonly string[]): void {
    const back = this.#drawn === 0 ? hideCursor : `\x1b[${this.#drawn}A`;
    write(`${back}\r${lines.map((text) => `${text}\x1b[K\n`).join("")}\x1b[J`);
    this.#drawn = lines.length;
  }

  /** After a change of size nobody knows where the block is: it is drawn anew on a clean screen. */
  forgetBlock(): void {
    if (this.#drawn === 0) return;
    write("\x1b[H\x1b[2J");
    this.#drawn = 0;
  }

  /** The block stays as it is; lines go below it. */
  endBlock(): void {
    if (this.#drawn > 0) write(showCursor);
    this.#drawn = 0;
  }
}

function write(text: string): void {
  const bytes = Buffer.from(text);
  for (let sent = 0; sent < bytes.length; ) {
    try {
      sent += writeSync(1, bytes, sent);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : null;
      // A reader that is gone must not keep us from tidying up.
      if (code !== "EAGAIN") return;
      Bun.sleepSync(1);
    }
  }
}
