/**
 * Who this server is: a random name made once, which every run directory carries. With another name the runs
 * of this server would not be found, and a start could be repeated: a lost or bad file is damage.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { replaceDurably } from "./durable-file.ts";
import type { StorePaths } from "./paths.ts";
import { asStoreError, StoreError, systemCode } from "./store-error.ts";

const ID_BYTES = 8;
const ID_LINE = /^[0-9a-f]{16}\n$/;

/** 16 hexadecimal digits, or null when there is no such file. @throws StoreError "damaged" */
export function readServerId(paths: StorePaths): string | null {
  let text: string;
  try {
    text = readFileSync(paths.serverId, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw asStoreError(error, paths.serverId);
  }
  if (!ID_LINE.test(text)) throw new StoreError("damaged", { file: paths.serverId, offset: 0, reason: "not a server id" });
  return text.trim();
}

/** Draws the id and writes it down: only for a directory that has none and holds no state. */
export async function createServerId(paths: StorePaths): Promise<string> {
  const id = randomBytes(ID_BYTES).toString("hex");
  await replaceDurably(paths.serverId, `${id}\n`);
  return id;
}
