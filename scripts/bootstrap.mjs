#!/usr/bin/env node
/**
 * The way from a fresh clone to a running script: `node scripts/bootstrap.mjs SCRIPT [args]`.
 * It owns node_modules: installs exactly package-lock.json when that is not what is there, puts the
 * pinned Bun in place, then runs SCRIPT under it and passes signals and the exit code on.
 *
 * It must run on Node 20 with nothing installed, must not touch the network when everything is there,
 * and must run no install script but Bun's own (see docs/adr/0001-package-lock-and-bootstrap.md).
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { constants, hostname } from "node:os";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stampFile = join(modules, ".bootstrap-stamp");
// Not inside node_modules: npm ci empties that folder.
const lockFile = join(root, "dist", ".bootstrap-lock");
const lockStaleMs = 60_000;
const lockPollMs = 100;

class BootstrapError extends Error {}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  console.error(`bootstrap: ${error.message}`);
  process.exitCode = 1;
}

async function main([script, ...args]) {
  if (script === undefined) throw new BootstrapError("no script named; usage: node scripts/bootstrap.mjs SCRIPT [args]");
  if (Number(process.versions.node.split(".")[0]) < 20) {
    throw new BootstrapError(`Node ${process.versions.node} is too old; Node 20 or newer is needed`);
  }
  if (!isReady()) await withLock(prepare);
  await runScript(script, args);
}

/** Everything is there. Reads only, so a tree that this user may not write is fine. */
function isReady() {
  return (readIfThere(stampFile) === wantedStamp() || installedMatchesLock()) && bunVersion() === pinnedBunVersion();
}

async function prepare() {
  if (readIfThere(stampFile) !== wantedStamp() && !installedMatchesLock()) await installPackages();
  if (bunVersion() !== pinnedBunVersion()) placeBun();
  const stamp = wantedStamp();
  if (readIfThere(stampFile) !== stamp) writeAtomically(stampFile, stamp);
}

function wantedStamp() {
  const hash = createHash("sha256");
  for (const name of ["package-lock.json", "package.json"]) hash.update(readFileSync(join(root, name))).update("\0");
  return hash.digest("hex");
}

/**
 * Without a stamp that fits (somebody ran npm, or only a script line of package.json changed): is what npm
 * recorded as installed what the lock file asks for? npm writes that record last, so a torn install has none.
 */
function installedMatchesLock() {
  const installedText = readIfThere(join(modules, ".package-lock.json"));
  if (installedText === undefined) return false;
  const wanted = readJson("package-lock.json").packages;
  const installed = packagesIn(installedText);
  if (installed === undefined) return false;
  const manifest = readJson("package.json");
  for (const kind of ["dependencies", "devDependencies", "optionalDependencies"]) {
    if (JSON.stringify(sorted(manifest[kind])) !== JSON.stringify(sorted(wanted[""]?.[kind]))) return false;
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === "") continue;
    const have = installed[path];
    if (have === undefined) {
      // Packages for other platforms are in the lock and not in the folder.
      if (entry.optional === true) continue;
      return false;
    }
    if (have.version !== entry.version || have.integrity !== entry.integrity) return false;
    if (!existsSync(join(root, path, "package.json"))) return false;
  }
  return true;
}

/** Nothing while another npm writes it. */
function packagesIn(text) {
  try {
    return JSON.parse(text).packages;
  } catch {
    return undefined;
  }
}

function sorted(record = {}) {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The registry and its credentials are the user's own npm settings; the lock file names no host. */
async function installPackages() {
  console.error("bootstrap: installing the packages of package-lock.json (npm ci)");
  const args = ["ci", "--ignore-scripts", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"];
  const underNpm = process.env.npm_execpath;
  const isNpm = underNpm !== undefined && basename(underNpm) === "npm-cli.js" && existsSync(underNpm);
  const [command, commandArgs] = isNpm ? [process.execPath, [underNpm, ...args]] : ["npm", args];
  const { code, signal, output, error } = await run(command, commandArgs);
  if (error !== undefined) throw new BootstrapError(`npm could not be started (${error.message}); install npm and try again`);
  if (code !== 0) {
    const lines = output
      .split("\n")
      .map((line) => line.replace(/^npm (error|ERR!) ?/, "").trim())
      .filter((line) => line !== "" && !line.startsWith("A complete log") && !line.startsWith("npm warn"));
    const reason = lines.slice(0, 3).join("; ") || "no message";
    throw new BootstrapError(`npm ci failed (${signal ?? `exit ${code}`}): ${reason}. \`npm ci\` in ${root} shows everything`);
  }
}

/** Bun's own install script, the only one that is run: it links the executable of this platform into place. */
function placeBun() {
  const installer = join(modules, "bun", "install.js");
  const result = spawnSync(process.execPath, [installer], { cwd: dirname(installer), encoding: "utf8" });
  const version = bunVersion();
  if (version !== pinnedBunVersion()) {
    const reason = (result.error?.message ?? `${result.stderr}${result.stdout}`).trim().split("\n")[0] || `it says ${version ?? "nothing"}`;
    throw new BootstrapError(`Bun ${pinnedBunVersion()} could not be put in place: ${reason}`);
  }
}

function pinnedBunVersion() {
  return readJson("package.json").devDependencies.bun;
}

function bunPath() {
  return join(modules, ".bin", "bun");
}

function bunVersion() {
  const result = spawnSync(bunPath(), ["--version"], { encoding: "utf8", cwd: root });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

async function runScript(script, args) {
  const env = {
    ...process.env,
    PATH: `${join(modules, ".bin")}${delimiter}${process.env.PATH ?? ""}`,
    // As under npm: scripts resolve relative paths of the command line against it.
    INIT_CWD: process.env.INIT_CWD ?? process.cwd(),
  };
  let child;
  const forwarded = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR2"];
  const forward = (signal) => {
    // A terminal has already given ^C and ^\ to the child, which is in our process group.
    if ((signal === "SIGINT" || signal === "SIGQUIT") && process.stdin.isTTY) return;
    child.kill(signal);
  };
  // Before the script begins: whoever sees its first words may signal at once.
  for (const signal of forwarded) process.on(signal, forward);
  child = spawn(bunPath(), [resolve(root, script), ...args], { cwd: root, env, stdio: "inherit" });
  const { code, signal } = await new Promise((settle, refuse) => {
    child.once("error", (error) => refuse(new BootstrapError(`Bun could not be started: ${error.message}`)));
    child.once("close", (exitCode, exitSignal) => settle({ code: exitCode, signal: exitSignal }));
  });
  for (const name of forwarded) process.removeListener(name, forward);
  if (signal === null) {
    process.exitCode = code;
    return;
  }
  // Die of the same signal, so that a caller sees what happened; the number is for signals that do not end Node.
  process.exitCode = 128 + (constants.signals[signal] ?? 0);
  process.kill(process.pid, signal);
}

function run(command, args) {
  return new Promise((settle) => {
    let output = "";
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.once("error", (error) => settle({ code: null, signal: null, output, error }));
    child.once("close", (code, signal) => settle({ code, signal, output }));
  });
}

/**
 * One install at a time. The lock is a file with its holder's name; the holder freshens it, so a lock whose
 * holder is dead, or that is old, is taken over. Renaming it away first lets only one of two takers succeed.
 */
async function withLock(action) {
  const holder = JSON.stringify({ host: hostname(), pid: process.pid });
  const own = `${lockFile}.${process.pid}`;
  try {
    mkdirSync(dirname(lockFile), { recursive: true });
    writeFileSync(own, holder);
  } catch (error) {
    throw new BootstrapError(`packages are missing or out of date and ${root} cannot be written (${error.code})`);
  }
  try {
    let told = false;
    while (!tryLink(own)) {
      removeStaleLock(own);
      if (!told && existsSync(lockFile)) {
        console.error("bootstrap: waiting for another install in this folder");
        told = true;
      }
      await new Promise((wake) => setTimeout(wake, lockPollMs));
    }
    const freshen = setInterval(() => {
      const now = new Date();
      // Gone only when somebody removed it by hand; the install is then still better finished.
      if (existsSync(own)) utimesSync(own, now, now);
    }, lockStaleMs / 10);
    try {
      await action();
    } finally {
      clearInterval(freshen);
      if (readIfThere(lockFile) === holder) rmSync(lockFile, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/** A hard link appears with its content or not at all; mtime is shared with `own`, which the holder freshens. */
function tryLink(own) {
  try {
    linkSync(own, lockFile);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw new BootstrapError(`the install lock ${lockFile} cannot be made (${error.code})`);
  }
}

function removeStaleLock(own) {
  const text = readIfThere(lockFile);
  if (text === undefined || !isStale(text)) return;
  const aside = `${own}.stale`;
  try {
    renameSync(lockFile, aside);
  } catch (error) {
    if (error.code === "ENOENT") return;
    throw error;
  }
  // Between reading and renaming a new holder may have come: give it back.
  if (readIfThere(aside) !== text && !existsSync(lockFile)) renameSync(aside, lockFile);
  else rmSync(aside, { force: true });
}

function isStale(text) {
  let holder;
  try {
    holder = JSON.parse(text);
  } catch {
    return true; // not written by us
  }
  if (holder.host === hostname() && !isAlive(holder.pid)) return true;
  const mtimeMs = statSync(lockFile, { throwIfNoEntry: false })?.mtimeMs;
  return mtimeMs !== undefined && Date.now() - mtimeMs > lockStaleMs;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function readJson(name) {
  return JSON.parse(readFileSync(join(root, name), "utf8"));
}

function readIfThere(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

function writeAtomically(path, text) {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}
