/**
 * Who listens on a port of this host, read from /proc: the socket's inode from the tables of TCP sockets,
 * then the process that has it open. Other users' processes hide their files, so the answer may be null.
 */
import { readdir, readFile, readlink } from "node:fs/promises";

export interface PortHolder {
  readonly pid: number;
  /** Its command line, cut, or its name when that is empty. */
  readonly command: string;
}

const COMMAND_LENGTH_MAX = 200;
const LISTENING = "0A";

/** null: it cannot be seen ("another process"). Never rejects. */
export async function findPortHolder(port: number): Promise<PortHolder | null> {
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const inode of listeningInodes(await readOrEmpty(table), port)) inodes.add(`socket:[${inode}]`);
  }
  if (inodes.size === 0) return null;
  for (const pid of (await listOrEmpty("/proc")).filter((name) => /^[0-9]+$/.test(name))) {
    for (const fd of await listOrEmpty(`/proc/${pid}/fd`)) {
      if (inodes.has(await linkOrEmpty(`/proc/${pid}/fd/${fd}`))) return { pid: Number(pid), command: await commandOf(pid) };
    }
  }
  return null;
}

/** Lines are `sl local:port remote:port state … uid timeout inode`, numbers in hexadecimal. */
function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const inode = fields[9];
    return fields[1]?.endsWith(suffix) === true && fields[3] === LISTENING && inode !== undefined ? [inode] : [];
  });
}

async function commandOf(pid: string): Promise<string> {
  const words = (await readOrEmpty(`/proc/${pid}/cmdline`)).replaceAll("\0", " ").trim();
  return (words === "" ? (await readOrEmpty(`/proc/${pid}/comm`)).trim() : words).slice(0, COMMAND_LENGTH_MAX);
}

// Processes end and hide while we look: what cannot be read is as if it were not there.
const readOrEmpty = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");
const listOrEmpty = (path: string): Promise<string[]> => readdir(path).catch(() => []);
const linkOrEmpty = (path: string): Promise<string> => readlink(path).catch(() => "");
