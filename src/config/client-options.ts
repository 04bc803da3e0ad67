/** Where the client finds the server and the token: flag, else environment, else config.toml, else the default. */
import { type Address, parseAddress } from "./address.ts";
import { ConfigError } from "./config-error.ts";
import type { ConfigFile } from "./config-file.ts";
import { readConfigSource } from "./config-source.ts";
import { DEFAULT_ADDRESS } from "./defaults.ts";
import { absolutePath, defaultConfigFile, defaultStateDir, type Environment, tokenFileIn } from "./paths.ts";

/** The flags that client and server share. */
export interface SharedFlags {
  readonly address?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly config?: string | undefined;
}

export interface Surroundings {
  readonly environment: Environment;
  /** Relative paths in flags and variables start here. */
  readonly folder: string;
}

export interface ClientOptions {
  readonly address: Address;
  readonly tokenFile: string;
}

export interface SharedOptions {
  readonly address: Address;
  readonly stateDir: string;
  readonly file: ConfigFile;
}

/** @throws ConfigError */
export async function resolveClientOptions(flags: SharedFlags, surroundings: Surroundings): Promise<ClientOptions> {
  const { address, stateDir } = await resolveShared(flags, surroundings);
  return { address, tokenFile: tokenFileIn(stateDir) };
}

/** What both ends must agree on. @throws ConfigError */
export async function resolveShared(flags: SharedFlags, surroundings: Surroundings): Promise<SharedOptions> {
  const { environment, folder } = surroundings;
  const named = flags.config ?? fromEnvironment(environment, "EXPJOBSERVER_CONFIG");
  const path = named === undefined ? defaultConfigFile(environment) : absolutePath(named, folder, environment);
  const file = await configFile(path, named !== undefined, environment);
  const stateDir = flags.stateDir ?? fromEnvironment(environment, "EXPJOBSERVER_STATE_DIR");
  return {
    file,
    address: addressFrom(flags.address, environment, file),
    stateDir: stateDir === undefined ? (file.serve.state_dir ?? defaultStateDir(environment)) : absolutePath(stateDir, folder, environment),
  };
}

const NO_FILE: ConfigFile = { path: null, serve: {}, classes: {}, limits: {}, log: {}, retention: {}, webhooks: [] };

async function configFile(path: string, required: boolean, environment: Environment): Promise<ConfigFile> {
  const source = readConfigSource(path, required);
  if (source === null) return NO_FILE;
  const { parseConfigFile } = await import("./config-file.ts");
  return await parseConfigFile(source, path, environment);
}

function addressFrom(flag: string | undefined, environment: Environment, file: ConfigFile): Address {
  if (flag !== undefined) return checked(flag, "--address");
  const variable = fromEnvironment(environment, "EXPJOBSERVER_ADDRESS");
  if (variable !== undefined) return checked(variable, "EXPJOBSERVER_ADDRESS");
  return file.serve.address ?? checked(DEFAULT_ADDRESS, "the default");
}

function checked(text: string, source: string): Address {
  const address = parseAddress(text);
  if (address !== null) return address;
  throw new ConfigError(`${source} is "${text}", which is no HOST:PORT.`, `Write it as in ${DEFAULT_ADDRESS} or [::1]:3030.`);
}

/** An empty variable is as good as none. */
function fromEnvironment(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value === "" ? undefined : value;
}
