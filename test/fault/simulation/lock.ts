/** Takes the place of store/lock.ts: the lock of a process that is one of many in a simulated life. */
import { StoreError } from "../../../src/store/store-error.ts";
import { stage } from "./stage.ts";

export class DirectoryLock {
  static take(file: string): DirectoryLock {
    if (stage.locked) throw new StoreError("locked", { file, pid: 1 });
    stage.locked = true;
    return new DirectoryLock();
  }

  release(): void {
    stage.locked = false;
  }
}
