/** The way in: a task becomes its outcome. Nothing is printed here, and every refusal is an outcome. */
import type { OfflineOutcome, OfflineTask } from "../config/offline-task.ts";
import { failureOf } from "./failure.ts";

/** @throws what is a fault of the program only */
export async function runOffline(task: OfflineTask): Promise<OfflineOutcome> {
  try {
    return await begun(task);
  } catch (error) {
    return failureOf(error);
  }
}

async function begun(task: OfflineTask): Promise<OfflineOutcome> {
  switch (task.kind) {
    case "import":
      return await (await import("./import.ts")).importOldSnapshot(task);
    case "state-export":
      return await (await import("./state-export.ts")).exportState(task);
    case "state-import":
      return await (await import("./state-import.ts")).importState(task);
    case "check":
      return await (await import("./check/check.ts")).check(task);
  }
}
