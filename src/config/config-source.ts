/** config.toml as text: the only place that reads the file. What is in it is read by config-file.ts. */
import { readFileSync } from "node:fs";
import { ConfigError } from "./config-error.ts";

/** @param required the user named the file: then it must be there. @returns null when it is not. @throws ConfigError */
export function readConfigSource(file: string, required: boolean): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if ((code === "ENOENT" || code === "ENOTDIR") && !required) return null;
    if (code === "ENOENT") throw new ConfigError(`There is no config file "${file}".`, "Correct --config, or leave it out.");
    throw new ConfigError(
      `The config file "${file}" cannot be read: ${code ?? String(error)}.`,
      "Make it readable, or name another with --config.",
    );
  }
}
