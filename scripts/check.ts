/**
 * `npm run check`: the one gate a change passes. It runs every gate even when an early one fails, prints
 * one line for each and what a failed one said, and exits 1 if any failed. `npm test` uses the same gates.
 *
 * With file arguments (`bun check FILE` calls this script because of its name) it only checks their types.
 */
import { resolve } from "node:path";

export interface Gate {
  readonly name: "types" | "lint" | "dead code" | "tidy";
  readonly command: readonly string[];
}

export interface GateResult {
  readonly gate: Gate;
  readonly passed: boolean;
  readonly output: string;
  readonly durationMs: number;
}

const root = resolve(import.meta.dir, "..");
const bun = process.execPath;
const bin = resolve(root, "node_modules/.bin");

export const gates: readonly Gate[] = [
  // Without --no-script `bun check` would run this very script again.
  { name: "types", command: [bun, "check", "--no-script", "--no-pretty"] },
  { name: "lint", command: [resolve(bin, "biome"), "check", "--error-on-warnings", "--max-diagnostics=100"] },
  { name: "dead code", command: [bun, resolve(root, "node_modules/knip/bin/knip.js"), "--no-progress"] },
  { name: "tidy", command: [bun, "test", "--timeout=60000", "./test/tidy.test.ts"] },
];

/** Runs one gate in the repository's root; a gate that cannot be started has failed. */
export async function runGate(gate: Gate): Promise<GateResult> {
  const startedAt = performance.now();
  const child = Bun.spawn([...gate.command], { cwd: root, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { gate, passed: exitCode === 0, output: `${stdout}${stderr}`.trim(), durationMs: performance.now() - startedAt };
}

/** One line, and after it what a failed gate printed. */
export function describeGate(result: GateResult): string {
  const line = `${result.passed ? "pass" : "FAIL"}  ${result.gate.name} (${(result.durationMs / 1000).toFixed(1)} s)`;
  return result.passed ? line : `${line}\n${result.output.replaceAll(/^/gm, "      ")}`;
}

async function main(files: readonly string[]): Promise<number> {
  if (files.length > 0) {
    return Bun.spawn([bun, "check", "--no-script", ...files], { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).exited;
  }
  let failed = 0;
  for (const gate of gates) {
    const result = await runGate(gate);
    if (!result.passed) failed += 1;
    console.log(describeGate(result));
  }
  console.log(failed === 0 ? "All gates passed." : `${failed} of ${gates.length} gates failed.`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
