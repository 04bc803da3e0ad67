/** Owns what is asked of a machine for the record of a result: its name, kernel and processor. Never fails for a missing fact. */
import type { MachineShell } from "../machine-shell.ts";

export interface MachineFacts {
  readonly hostname: string;
  /** As `uname -sr` says it. */
  readonly kernel: string;
  readonly cpu: string;
}

const FACTS_SCRIPT = `
LC_ALL=C; export LC_ALL
uname -n
uname -sr
sed -n 's/^\\(model name\\|Model\\|cpu model\\|Hardware\\)[[:space:]]*:[[:space:]]*//p' /proc/cpuinfo 2>/dev/null | head -n 1 | grep . || uname -m
`;
const ANSWER_BYTES_MAX = 16 * 1024;
const FACT_LENGTH_MAX = 200;

/** One command on the machine; the caller keeps the answer as long as the connection. @throws {MachineShellError} */
export async function readMachineFacts(shell: MachineShell): Promise<MachineFacts> {
  const process = await shell.run(FACTS_SCRIPT);
  const stderr = process.collectStderr(0);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of process.stdout) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > ANSWER_BYTES_MAX) process.kill();
    if (bytes > ANSWER_BYTES_MAX) break;
  }
  await Promise.all([process.exited, stderr]);
  const [hostname = "", kernel = "", cpu = ""] = Buffer.concat(pieces).toString("utf8").split("\n").map(printable);
  return { hostname, kernel, cpu };
}

function printable(line: string): string {
  return line
    .replace(/[\p{C}\u2028\u2029]/gu, " ")
    .replace(/ +/g, " ")
    .trim()
    .slice(0, FACT_LENGTH_MAX);
}
