/** Who this process is. Bun's `os.userInfo().username` is $USER or "unknown", which a daemon cannot rely on; `id` asks the system. */
import { spawnSync } from "node:child_process";

let name: string | null = null;

/** The name of the effective user, from the system's user database wherever it lives. */
export function localUserName(): string {
  if (name === null) {
    const asked = spawnSync("id", ["-un"], { encoding: "utf8" });
    name = asked.status === 0 ? asked.stdout.trim() : (process.env.USER ?? process.env.LOGNAME ?? "unknown");
  }
  return name;
}
