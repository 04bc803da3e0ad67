/**
 * `serve`, from start to stop, in the order that the promises need: lock and state, then the door (a client
 * may ask at once), then the past is taken up, and only then are jobs handed out; at the end the other way round.
 */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { formatAddress } from "../config/address.ts";
import type { ServeOptions } from "../config/serve-options.ts";
import type { ServeFailureCode, ServeOutcome } from "../config/serve-outcome.ts";
import { VERSION } from "../config/version.ts";
import { type Problem, problem } from "../core/problem.ts";
import { openStore } from "../store/recovery.ts";
import type { Store } from "../store/store.ts";
import { StoreError } from "../store/store-error.ts";
import { readRecord } from "./copier/record.ts";
import { turnOffCoreDumps } from "./core-dumps.ts";
import { Daemon } from "./daemon.ts";
import { allHandlers } from "./handlers/all.ts";
import type { Services } from "./handlers/services.ts";
import { JournalSeal } from "./journal-seal.ts";
import { type DaemonLog, openDaemonLog, type ServerLog } from "./log.ts";
import { faultOf } from "./log-words.ts";
import type { Notifications } from "./notify/notifications.ts";
import { sayNotifications, startNotifications } from "./notify/start.ts";
import type { NoticeWords } from "./notify/words.ts";
import { Reload } from "./reload.ts";
import { readCallerLimits } from "./runner/caller-limits.ts";
import { driverProblem } from "./runner/driver.ts";
import type { CallerLimits } from "./runner/runner.ts";
import { createServer, ListenError, type Server } from "./server/server.ts";
import { loadOrCreateToken, TokenFileError } from "./server/token.ts";
import { Signals } from "./signals.ts";

/** A client that asked for the stop gets its answer first. */
const STOP_AFTER_ANSWER_MS = 50;
/** What is still to be told when the server stops has so long. */
const NOTIFY_AT_STOP_MS = 2_000;

/**
 * Serves until SIGTERM, SIGINT or `stop`. Never rejects for what a person can mend.
 * @param reread the options as they would be now, for SIGHUP
 * @param words for notifications, which are read by people: this layer has none of its own
 */
export async function serve(options: ServeOptions, reread: () => Promise<ServeOptions>, words: NoticeWords): Promise<ServeOutcome> {
  const coreDumps = turnOffCoreDumps();
  const noted =
    coreDumps.fault === null
      ? options
      : { ...options, notes: [...options.notes, `core dumps could not be turned off: ${coreDumps.fault}`] };
  const caller = { ...readCallerLimits(), ...(coreDumps.softBefore === null ? {} : { coreDumpsSoft: coreDumps.softBefore }) };
  process.umask(0o077);
  const stop = new StopRequest();
  // From the first moment: a stop during a long start is as clean as any other.
  const signals = new Signals(() => stop.ask({ kind: "stopped" }));
  try {
    const unusable = await unusableSettings(options);
    if (unusable !== null) return unusable;
    const store = await openStore(options.stateDir, {
      allowSnapshotFailure: options.allowSnapFail,
      allowNetworkFileSystem: options.allowNetworkFs,
      highestIdInLogs: () => highestIdInLogs(options.logDir),
      now: Date.now,
    });
    return await withStore({ options: noted, reread, words, store, caller, stop, signals });
  } catch (error) {
    if (error instanceof StoreError) return storeFailure(error);
    throw error;
  } finally {
    signals.release();
  }
}

interface Opened {
  readonly options: ServeOptions;
  readonly reread: () => Promise<ServeOptions>;
  readonly words: NoticeWords;
  readonly signals: Signals;
  readonly store: Store;
  readonly caller: CallerLimits;
  readonly stop: StopRequest;
}

/** Whatever happens, the store is closed at the end, and with it its lock is free. */
async function withStore({ options, reread, words, store, caller, stop, signals }: Opened): Promise<ServeOutcome> {
  let log: ServerLog;
  try {
    log = openDaemonLog(options.logDir, options.log);
  } catch (error) {
    await store.close(null);
    return logDirFailure(options, error);
  }
  const forgiven = onFaults(log);
  const storage = new StorageWatch(log, (failure) => stop.ask(failure));
  const seal = new JournalSeal({ store, onStorageProblem: (error) => storage.refused(error) });
  let daemon: Daemon | null = null;
  let server: Server | null = null;
  let notifications: Notifications | null = null;
  try {
    daemon = new Daemon({
      serve: options,
      store,
      log,
      caller,
      workDirectory: process.cwd(),
      environment: environmentOfJobs(),
      onStorageProblem: (error) => storage.refused(error),
    });
    const begun = daemon;
    const reload = new Reload({ started: options, reread, log, apply: (changed) => begun.configure(changed) });
    signals.onHangUp = () => void reload.again();
    daemon.engine.subscribe(() => {
      storage.accepted();
      seal.consider();
    });
    seal.consider();
    const { engine, book } = daemon;
    notifications = startNotifications({ serve: options, engine, book, secret: (name) => store.secrets.get(name), words, log });
    server = await openDoor({ options, store, daemon, notifications, log, storage, stop: () => stop.ask({ kind: "stopped" }) });
    sayHello({ options, store, log, server });
    if (stop.asked === null) daemon.begin().catch((error: unknown) => log.error(`taking up the past: ${faultOf(error)}`));
    return await stop.promise;
  } catch (error) {
    const failure = doorFailure(error);
    if (failure === null) throw error;
    return failure;
  } finally {
    const ending = async (what: string, step: () => unknown): Promise<void> => {
      try {
        await step();
      } catch (error) {
        log.error(`${what}: ${faultOf(error)}`);
      }
    };
    seal.stop();
    await ending("stopping", () => daemon?.stop());
    await ending("the last notifications", () => notifications?.stop(NOTIFY_AT_STOP_MS));
    await ending("closing the connections", () => server?.stop());
    await ending("the last snapshot was not written, the journal has everything", () =>
      store.close(storage.failed ? null : (daemon?.engine ?? null)),
    );
    // One that never served says only why.
    if (server !== null) log.info("stopped; jobs that run go on");
    await log.close();
    forgiven();
  }
}

function sayHello({ options, store, log, server }: Pick<Door, "options" | "store" | "log"> & { readonly server: Server }): void {
  for (const note of store.notes) log.warn(`${note.code} ${JSON.stringify(note.data)}`);
  for (const note of options.notes) log.warn(note);
  for (const file of [...options.identities, options.knownHosts, options.sshConfig]) {
    if (file !== null && !existsSync(file)) log.warn(`${file} is named for SSH and is not there`);
  }
  if ((statSync(options.logDir).mode & 0o002) !== 0) {
    log.warn(`${options.logDir} is writable by every user of this host, who can put links in the place of logs: chmod o-w`);
  }
  log.info(`expjobserver ${VERSION} serves on ${formatAddress(server.address)}, process ${process.pid}`);
  log.info(`state: ${options.stateDir}; logs: ${options.logDir}; token: ${options.tokenFile}`);
  sayNotifications(options, log);
  if (options.runner !== null) log.info(`driver: ${[options.runner, ...options.runnerArgs].join(" ")}`);
}

/** The webhook's URL is a secret: a job that prints its environment must not have it. */
function environmentOfJobs(): Record<string, string | undefined> {
  const { SLACK_API: _ours, ...environment } = process.env;
  return environment;
}

/** The first who asks says how the server ends. */
class StopRequest {
  asked: ServeOutcome | null = null;
  private readonly outcome = Promise.withResolvers<ServeOutcome>();

  get promise(): Promise<ServeOutcome> {
    return this.outcome.promise;
  }

  ask(outcome: ServeOutcome): void {
    this.asked ??= outcome;
    this.outcome.resolve(outcome);
  }
}

interface Door {
  readonly options: ServeOptions;
  readonly store: Store;
  readonly daemon: Daemon;
  readonly notifications: Notifications;
  readonly log: DaemonLog;
  readonly storage: StorageWatch;
  readonly stop: () => void;
}

async function openDoor(door: Door): Promise<Server> {
  const { options, log } = door;
  const token = loadOrCreateToken(options.tokenFile);
  return await createServer({
    ...options.address,
    token,
    version: VERSION,
    handlers: allHandlers(servicesOf(door)),
    onError: (error, where) => log.error(`${where}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
  });
}

function servicesOf({ options, store, daemon, notifications, storage, stop }: Door): Services {
  const { engine, book, fleet, gate } = daemon;
  return {
    engine,
    book,
    now: Date.now,
    secrets: {
      get: (name) => store.secrets.get(name),
      set: (name, value) => store.secrets.set(name, value),
      remove: (name) => store.secrets.remove([name]),
    },
    checkMachine: (addr) => fleet.check(addr),
    forgetConnectFailures: () => fleet.forgetConnectFailures(),
    readRecordedFiles: async (path) => (await readRecord(path).catch(() => null))?.files ?? null,
    takeResults: (request) => daemon.transfer.take(request),
    testWebhooks: (signal) => notifications.test(signal),
    mayHaveDeletedLogOf: (job) => daemon.mayHaveDeletedLogOf(job),
    gateProblem: () => gate.problem,
    server: {
      version: VERSION,
      startedAt: Date.now(),
      address: formatAddress(options.address),
      stateDir: options.stateDir,
      logDir: options.logDir,
      tokenFile: options.tokenFile,
      configFile: options.configFile,
      runner: options.runner,
      splitsWords: (className) => fleet.usesDriver(className),
      conditions: () => [...storage.conditions, ...(gate.problem === null ? [] : [gate.problem]), ...notifications.conditions],
    },
    requestStop: () => void setTimeout(stop, STOP_AFTER_ANSWER_MS),
  };
}

/** What the disk refuses: said once and shown by `status`; a failing disk ends the daemon (D3). */
class StorageWatch {
  private full: Problem | null = null;

  constructor(
    private readonly log: DaemonLog,
    private readonly fail: (failure: ServeOutcome) => void,
  ) {}

  failed = false;

  get conditions(): readonly Problem[] {
    return this.full === null ? [] : [this.full];
  }

  refused(error: unknown): void {
    if (error instanceof StoreError && error.code === "no-space") {
      if (this.full === null) this.log.error(`no space for the journal: ${JSON.stringify(error.data)}; running jobs go on`);
      this.full = problem("no-space", { path: String(error.data.file ?? "") });
      return;
    }
    this.log.error(`storage: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    // One change that is too large is its author's concern; the storage is well.
    if (!(error instanceof StoreError) || error.code === "record-too-large" || error.code === "closed") return;
    this.failed = true;
    this.fail(storeFailure(error));
  }

  accepted(): void {
    if (this.full !== null) this.log.info("there is space for the journal again");
    this.full = null;
  }
}

async function unusableSettings(options: ServeOptions): Promise<ServeOutcome | null> {
  const stateDir = folderFault(options.stateDir);
  if (stateDir !== null && stateDir !== "ENOENT") return failed("state-dir", { path: options.stateDir, message: stateDir });
  try {
    mkdirSync(options.logDir, { recursive: true });
    accessSync(options.logDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return logDirFailure(options, error);
  }
  const missing = options.runner === null ? null : await driverProblem(options.runner);
  return missing?.code === "driver-missing" || missing?.code === "driver-not-executable" ? failed(missing.code, missing.data) : null;
}

function logDirFailure({ logDir, stateDir }: ServeOptions, error: unknown): ServeOutcome {
  const message = (error as NodeJS.ErrnoException).code ?? String(error);
  // In a state directory that cannot be made there is no folder for logs either.
  if (logDir.startsWith(`${stateDir}/`) && folderFault(stateDir) !== null) return failed("state-dir", { path: stateDir, message });
  return failed("log-dir", { path: logDir, message });
}

/** The system's code for why it is no folder; null: it is one. */
function folderFault(path: string): string | null {
  try {
    return statSync(path).isDirectory() ? null : "ENOTDIR";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function storeFailure(error: StoreError): ServeOutcome {
  const data = Object.fromEntries(Object.entries(error.data).map(([key, value]) => [key, String(value)]));
  switch (error.code) {
    case "locked":
    case "damaged":
    case "newer-format":
    case "network-file-system":
    case "not-owned":
    case "io":
    case "no-space":
      return failed(error.code, data);
    case "storage-failed":
    case "record-too-large":
    case "closed":
      return failed("io", data);
  }
}

function doorFailure(error: unknown): ServeOutcome | null {
  if (error instanceof TokenFileError) return failed("token-file", { path: error.path, fault: error.fault, system: error.systemCode });
  if (!(error instanceof ListenError)) return null;
  const address = formatAddress(error.address);
  if (error.fault !== "port-taken") return failed("cannot-listen", { address, fault: error.fault, system: error.systemCode });
  const holder = error.holder === null ? {} : { pid: String(error.holder.pid), command: error.holder.command };
  return failed("port-taken", { address, ...holder });
}

function failed(code: ServeFailureCode, data: Readonly<Record<string, string>>): ServeOutcome {
  return { kind: "failed", code, data };
}

function highestIdInLogs(folder: string): number {
  const ids = readdirSync(folder).map((name) => Number(/^(\d{1,9})-/.exec(name)?.[1] ?? -1));
  return ids.reduce((highest, id) => Math.max(highest, id), -1);
}

/**
 * A promise or callback of ours that fails unseen. The state is only ever changed through the engine, so what was lost
 * is that one step: it is said, and the server goes on; jobs and people would gain nothing from its end.
 * @returns a function that takes the handlers away again
 */
function onFaults(log: DaemonLog): () => void {
  const rejected = (error: unknown): void => log.error(`a fault of the server, it goes on: ${faultOf(error)}`);
  process.on("unhandledRejection", rejected);
  process.on("uncaughtException", rejected);
  return () => {
    process.off("unhandledRejection", rejected);
    process.off("uncaughtException", rejected);
  };
}
