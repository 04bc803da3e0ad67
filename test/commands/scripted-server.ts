/** The real server and wire with answers that a test writes down, and the client as a process of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "../../src/config/version.ts";
import type { Handlers } from "../../src/daemon/server/handler.ts";
import { createServer } from "../../src/daemon/server/server.ts";
import { loadOrCreateToken } from "../../src/daemon/server/token.ts";
import { RequestError } from "../../src/protocol/error.ts";
import { METHODS, type MethodName } from "../../src/protocol/methods.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Asked {
  readonly method: string;
  readonly params: unknown;
}

export interface ScriptedServer extends AsyncDisposable {
  /** What was asked so far; a test empties it. */
  readonly asked: Asked[];
  readonly stateDir: string;
  readonly environment: Record<string, string>;
  stop(): Promise<void>;
  /** Runs the client to its end. */
  run(...argv: string[]): Promise<Ran>;
}

const MAIN = join(import.meta.dir, "../../src/main.ts");

/** @param answers for the methods that the test uses; every other is refused */
export async function startScriptedServer(
  answers: Partial<Handlers>,
  options: { readonly version?: string } = {},
): Promise<ScriptedServer> {
  const stateDir = mkdtempSync(join(tmpdir(), "expjobserver-commands-"));
  const asked: Asked[] = [];
  const token = loadOrCreateToken(join(stateDir, "token"));
  const handlers = recording(answers, asked);
  const server = await createServer({
    host: "127.0.0.1",
    port: 0,
    token,
    version: options.version ?? VERSION,
    handlers,
    onError: () => undefined,
  });
  const environment = { ...bareEnvironment(stateDir), EXPJOBSERVER_ADDRESS: `127.0.0.1:${server.port}`, EXPJOBSERVER_STATE_DIR: stateDir };
  const stop = (): Promise<void> => server.stop();
  return {
    asked,
    stateDir,
    environment,
    stop,
    run: (...argv) => runClient(argv, { environment }),
    [Symbol.asyncDispose]: async () => {
      await stop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

export interface RunOptions {
  readonly environment: Record<string, string>;
  readonly stdin?: string | Uint8Array;
  readonly folder?: string;
}

export async function runClient(argv: readonly string[], options: RunOptions): Promise<Ran> {
  const child = startClient(argv, options);
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

export function startClient(argv: readonly string[], options: RunOptions) {
  return Bun.spawn([process.execPath, MAIN, ...argv], {
    env: options.environment,
    cwd: options.folder ?? tmpdir(),
    stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Nothing of the user's own settings. */
export function bareEnvironment(home: string): Record<string, string> {
  return { HOME: home, PATH: process.env["PATH"] ?? "" };
}

function recording(answers: Partial<Handlers>, asked: Asked[]): Handlers {
  const names = Object.keys(METHODS) as MethodName[];
  const entries = names.map((method) => {
    const answer = answers[method] as ((params: unknown, context: unknown) => Promise<unknown>) | undefined;
    const handler = (params: unknown, context: unknown): Promise<unknown> => {
      asked.push({ method, params });
      return answer === undefined ? Promise.reject(new RequestError("unknown-method", { method })) : answer(params, context);
    };
    return [method, handler];
  });
  return Object.fromEntries(entries) as Handlers;
}
