/**
 * `npm run build`: makes the executable `expjobserver` and beside it the symlink `j`.
 *
 *   build-binary.ts [--target bun-linux-arm64] [--outfile PATH] [--entry FILE] [--force]
 *
 * Without --target it builds for this platform into dist/, with it into dist/TARGET/ (Bun fetches the
 * runtime of another platform from the npm registry). Nothing is rebuilt while sources, packages and
 * options are what they were: a hash of them lies beside the binary.
 *
 * It must not let a native module of this host into the binary: it could be for any platform. Packages
 * that try to load one (ssh2, msgpackr) find a module that throws, and use their JavaScript.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BunPlugin } from "bun";

export interface BuildOptions {
  /** As in `bun build --target`, for instance `bun-linux-arm64`. Default: this platform. */
  readonly target?: string;
  /** Where the executable goes; `j` is made beside it. */
  readonly outfile?: string;
  /** The module that starts the program. Default: src/main.ts. */
  readonly entry?: string;
  /** Build even when nothing changed. */
  readonly force?: boolean;
}

export interface BuildResult {
  readonly expjobserver: string;
  readonly j: string;
  /** False when what lay there was still right. */
  readonly rebuilt: boolean;
  readonly durationMs: number;
}

const root = resolve(import.meta.dir, "..");
/** Modules that run as threads of their own: each is found in the executable by its path here. */
const THREADS: readonly string[] = ["src/daemon/copier/receive-worker.ts"];

/** Where the executable of these options is, built or not. */
export function binaryPath(options: BuildOptions = {}): string {
  if (options.outfile !== undefined) return resolve(options.outfile);
  const folder = options.target === undefined ? join(root, "dist") : join(root, "dist", options.target);
  return join(folder, options.target?.includes("windows") === true ? "expjobserver.exe" : "expjobserver");
}

/**
 * Builds, or finds that nothing changed. The executable is replaced by a rename, so one that runs goes on.
 * @throws {Error} with what Bun said, when the sources do not build.
 */
export async function buildBinary(options: BuildOptions = {}): Promise<BuildResult> {
  const startedAt = performance.now();
  const outfile = binaryPath(options);
  const entry = resolve(root, options.entry ?? "src/main.ts");
  const result = { expjobserver: outfile, j: join(dirname(outfile), "j") };
  if (!existsSync(entry)) throw new Error(`Nothing to build: ${relative(root, entry)} does not exist.`);

  const stamp = await sourceHash(entry, options.target ?? "host");
  const stampFile = stampPath(outfile);
  if (options.force !== true && isStamped(outfile, stamp)) {
    linkClient(result.j, basename(outfile));
    return { ...result, rebuilt: false, durationMs: performance.now() - startedAt };
  }

  mkdirSync(dirname(outfile), { recursive: true });
  // A folder of its own: Bun leaves source maps beside what it writes. They are in the binary as well.
  const workshop = mkdtempSync(`${outfile}.building-`);
  try {
    const built = join(workshop, basename(outfile));
    await compile(entry, built, options.target);
    // The stamp goes first: a stop before it is written again must not call an old binary new.
    rmSync(stampFile, { force: true });
    renameSync(built, outfile);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
  linkClient(result.j, basename(outfile));
  writeFileSync(stampFile, stamp);
  return { ...result, rebuilt: true, durationMs: performance.now() - startedAt };
}

/** Whether `buildBinary` would find nothing to do. Reads only. */
export async function isBinaryCurrent(options: BuildOptions = {}): Promise<boolean> {
  const entry = resolve(root, options.entry ?? "src/main.ts");
  const outfile = binaryPath(options);
  if (!existsSync(entry) || readLink(join(dirname(outfile), "j")) !== basename(outfile)) return false;
  return isStamped(outfile, await sourceHash(entry, options.target ?? "host"));
}

function isStamped(outfile: string, stamp: string): boolean {
  const stampFile = stampPath(outfile);
  return existsSync(outfile) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp;
}

function stampPath(outfile: string): string {
  return join(dirname(outfile), `.${basename(outfile)}.stamp`);
}

async function compile(entry: string, outfile: string, target: string | undefined): Promise<void> {
  const build = await Bun.build({
    entrypoints: [entry, ...THREADS.map((file) => join(root, file))],
    root,
    compile: {
      outfile,
      // Both would read files of the folder that a user happens to be in, and run what they name.
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(target === undefined ? {} : { target: compileTarget(target) }),
    },
    target: "bun",
    format: "esm",
    minify: true,
    bytecode: true,
    // Keeps `await import()` lazy: what a command does not use is not loaded.
    splitting: true,
    sourcemap: "inline",
    define: {
      // Bun would write this host's paths into CommonJS modules that ask for theirs.
      __dirname: JSON.stringify("/"),
      __filename: JSON.stringify("/module"),
    },
    plugins: [withoutNativeModules, withLightCitty],
    throw: false,
  });
  if (!build.success) throw new Error(`The build failed.\n${build.logs.map((log) => String(log)).join("\n")}`);
  chmodSync(outfile, 0o755);
}

function compileTarget(target: string): Bun.Build.CompileTarget {
  if (!isCompileTarget(target)) throw new Error(`"${target}" is no target; it looks like bun-linux-arm64 or bun-linux-x64-musl.`);
  return target;
}

/** Only the shape: Bun itself knows which targets exist and says so. */
function isCompileTarget(target: string): target is Bun.Build.CompileTarget {
  return /^bun-(linux|darwin|windows)-(x64|arm64)(-[a-z]+)*$/.test(target);
}

/**
 * Native modules, and the packages whose only purpose is to load one, become a module that throws. All who ask for
 * them do so in a `try`. An external would not do: with `--splitting` it may be hoisted, and the binary dies at start.
 */
const withoutNativeModules: BunPlugin = {
  name: "without-native-modules",
  setup(build) {
    const namespace = "native-module";
    build.onResolve({ filter: /\.node$/ }, ({ path }) => ({ path, namespace }));
    build.onResolve({ filter: /^(cpu-features|msgpackr-extract|node-gyp-build-optional-packages)$/ }, ({ path }) => ({ path, namespace }));
    build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `throw new Error(${JSON.stringify(`${path} is a native module and not part of this program`)});`,
      loader: "js",
    }));
  },
};

/**
 * citty takes one function from node:util, whose loading costs a call more than all of citty: here it finds ours, which does
 * the same. (Bun asks no plugin where a module of its own is, so the name is changed in the text.)
 */
const withLightCitty: BunPlugin = {
  name: "with-light-citty",
  setup(build) {
    build.onLoad({ filter: /[/\\]citty[/\\]dist[/\\]index\.mjs$/ }, async ({ path }) => {
      const text = await Bun.file(path).text();
      const light = text.replace('from "node:util"', () => `from ${JSON.stringify(join(root, "src/commands/citty-parse-args.ts"))}`);
      if (light === text || light.includes('"node:')) throw new Error("This citty does not import node:util alone: see withLightCitty.");
      return { contents: light, loader: "js" };
    });
  },
};

/** Everything the binary is made of: sources, the lock file, this script, the compiler and the target. */
async function sourceHash(entry: string, target: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(`${Bun.version} ${target} ${relative(root, entry)}\n`);
  const files = ["package.json", "package-lock.json", "tsconfig.json", "scripts/build-binary.ts"].map((name) => join(root, name));
  const glob = new Bun.Glob("**/*");
  const folders = [join(root, "src")];
  // A program elsewhere (as tests build) is made of the files beside it as well.
  if (!isInside(entry, join(root, "src"))) folders.push(dirname(entry));
  for (const folder of folders) {
    const names = await Array.fromAsync(glob.scan({ cwd: folder, onlyFiles: true, dot: false }));
    files.push(...names.sort().map((name) => join(folder, name)));
  }
  for (const file of files) {
    hash.update(`${relative(root, file)}\0`);
    hash.update(await Bun.file(file).bytes());
  }
  return hash.digest("hex");
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return !way.startsWith("..") && !isAbsolute(way);
}

/** `j` is the same executable under the name by which it knows that it is the client. */
function linkClient(link: string, to: string): void {
  if (readLink(link) === to) return;
  const temporary = `${link}.linking-${process.pid}`;
  rmSync(temporary, { force: true });
  symlinkSync(to, temporary);
  renameSync(temporary, link);
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // absent, or not a link: it is replaced
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      target: { type: "string" },
      outfile: { type: "string" },
      entry: { type: "string" },
      force: { type: "boolean", default: false },
    },
  });
  const here = process.env.INIT_CWD ?? process.cwd();
  const result = await buildBinary({
    force: values.force,
    ...(values.target === undefined ? {} : { target: values.target }),
    ...(values.entry === undefined ? {} : { entry: resolve(here, values.entry) }),
    ...(values.outfile === undefined ? {} : { outfile: resolve(here, values.outfile) }),
  });
  const shown = isInside(result.expjobserver, root) ? relative(root, result.expjobserver) : result.expjobserver;
  const took = `${(result.durationMs / 1000).toFixed(1)} s`;
  console.log(result.rebuilt ? `Built ${shown} and ${dirname(shown)}/j (${took}).` : `${shown} is up to date.`);
  return 0;
}

if (import.meta.main) {
  try {
    process.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}
