/** How many columns a terminal has, by the cheapest way there is. */
import { dlopen, ptr } from "bun:ffi";

const TIOCGWINSZ_LINUX = 0x5413n;

/** @returns undefined when the descriptor is no terminal, or does not say */
export async function terminalWidth(descriptor: number): Promise<number | undefined> {
  if (process.platform === "linux") {
    const muslName = `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`;
    for (const name of ["libc.so.6", muslName]) {
      const library = openLibrary(name);
      if (library === null) continue;
      // struct winsize: rows, columns, and two that nobody sets.
      const size = new Uint16Array(4);
      const failed = library.symbols.ioctl(descriptor, TIOCGWINSZ_LINUX, ptr(size)) !== 0;
      return failed || size[1] === 0 ? undefined : size[1];
    }
  }
  const { WriteStream } = await import("node:tty");
  const columns = new WriteStream(descriptor).columns;
  return columns > 0 ? columns : undefined;
}

function openLibrary(name: string) {
  try {
    return dlopen(name, { ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" } });
  } catch {
    // The other C library, then.
    return null;
  }
}
