/**
 * A process that takes the lock of a state directory, for tests that start many or kill it.
 * Arguments: file, `alone` or `with-child`. Prints `held` or `refused PID`; holding it, lives until it is killed.
 */
import { writeSync } from "node:fs";
import { DirectoryLock } from "../../src/store/lock.ts";
import { StoreError } from "../../src/store/store-error.ts";

const [file = "", company] = process.argv.slice(2);
try {
  const lock = DirectoryLock.take(file);
  const child = company === "with-child" ? Bun.spawn(["sleep", "60"], { detached: true, stdio: ["ignore", "ignore", "ignore"] }) : null;
  writeSync(1, `held ${child?.pid ?? 0}\n`);
  setInterval(() => lock, 60_000);
} catch (error) {
  if (!(error instanceof StoreError) || error.code !== "locked") throw error;
  writeSync(1, `refused ${error.data["pid"]}\n`);
}
