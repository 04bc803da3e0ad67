/** Where things are, by the XDG rules: the environment comes in as an argument. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { APPLICATION_NAME } from "./defaults.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** `$XDG_STATE_HOME/expjobserver`. */
export function defaultStateDir(environment: Environment): string {
  return join(xdgFolder(environment, "XDG_STATE_HOME", ".local/state"), APPLICATION_NAME);
}

/** `$XDG_CONFIG_HOME/expjobserver/config.toml`. */
export function defaultConfigFile(environment: Environment): string {
  return join(xdgFolder(environment, "XDG_CONFIG_HOME", ".config"), APPLICATION_NAME, "config.toml");
}

export function tokenFileIn(stateDir: string): string {
  return join(stateDir, "token");
}

export function defaultLogDir(stateDir: string): string {
  return join(stateDir, "logs");
}

/** `~/x` is the user's; anything relative starts at the folder given. */
export function absolutePath(path: string, folder: string, environment: Environment): string {
  if (path === "~" || path.startsWith("~/")) return join(homeOf(environment), path.slice(1));
  return resolve(folder, path);
}

/** The rule of XDG: a relative path in these variables is ignored. */
function xdgFolder(environment: Environment, variable: string, fallback: string): string {
  const folder = environment[variable];
  return folder !== undefined && isAbsolute(folder) ? folder : join(homeOf(environment), fallback);
}

function homeOf(environment: Environment): string {
  const home = environment["HOME"];
  return home !== undefined && isAbsolute(home) ? home : homedir();
}
