/** What the bench keeps between runs, outside the repository: installed peers, and pasts that take a minute to write. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { writePastState } from "./past-state.ts";

const root = resolve(import.meta.dir, "../..");

export function cacheFolder(): string {
  const folder = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "expjobserver-bench");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** A copy of a state with so many past jobs, in a folder that is not there yet. Written anew when the store has changed. */
export async function copyPastState(jobs: number, target: string): Promise<void> {
  const kept = join(cacheFolder(), `past-${jobs}-${storeHash()}`);
  if (!existsSync(kept)) {
    removeOlder(`past-${jobs}-`);
    const writing = `${kept}.${process.pid}`;
    rmSync(writing, { recursive: true, force: true });
    await writePastState(writing, jobs);
    // Another bench on this machine may have been faster.
    if (existsSync(kept)) rmSync(writing, { recursive: true, force: true });
    else renameSync(writing, kept);
  }
  const copied = Bun.spawnSync(["cp", "-a", kept, target], { stdio: ["ignore", "ignore", "inherit"] });
  if (!copied.success) throw new Error(`the state with ${jobs} past jobs could not be copied`);
}

/** Those of yesterday: of another branch, or of a store that has changed since. */
function removeOlder(prefix: string): void {
  const yesterday = Date.now() - 86_400_000;
  for (const name of readdirSync(cacheFolder())) {
    const path = join(cacheFolder(), name);
    if (name.startsWith(prefix) && statSync(path).mtimeMs < yesterday) rmSync(path, { recursive: true, force: true });
  }
}

/** Of all that decides what a state directory looks like. */
function storeHash(): string {
  const hash = new Bun.CryptoHasher("sha256");
  const files = ["src/store", "src/core"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(root, folder, name)),
  );
  for (const file of [...files.sort(), join(import.meta.dir, "past-state.ts")])
    if (statSync(file).isFile()) hash.update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}
