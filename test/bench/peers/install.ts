/**
 * Where peers come from: Debian's packages (as root), crates.io and PyPI, by their ordinary clients, each once, into the
 * bench's cache. What cannot be had is no error: the row says why it is not there. EXPJOB_BENCH_INSTALL=0 installs nothing.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../cache.ts";
import type { Absent } from "../measure.ts";

const HINT_LINES = 400;

interface AptSource {
  /** Of the peer, in the table. */
  readonly name: string;
  readonly apt: string;
}

/** The path of a program of a Debian package, installed if need be and possible. */
export async function programOrAbsent(program: string, { name, apt }: AptSource): Promise<string | Absent> {
  const there = Bun.which(program);
  if (there !== null) return there;
  if (!mayInstall()) return { name, absent: `${program} is not installed (Debian package ${apt})` };
  if (process.getuid?.() !== 0) return { name, absent: `${program} is not installed, and only root can install ${apt}` };
  if (Bun.which("apt-get") === null) return { name, absent: `${program} is not installed, and there is no apt-get` };
  const failure = await once(
    `apt-${apt}`,
    `apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ${apt}`,
  );
  const path = Bun.which(program);
  return path ?? { name, absent: failure ?? `${apt} has no ${program}` };
}

/** The folder with the programs of a crate. */
export async function crateOrAbsent(crate: string, program: string): Promise<string | Absent> {
  return await builtOrAbsent(crate, program, (folder) => `nice cargo install --quiet --root '${folder}' ${crate}`);
}

/** The same with another version of something that the crate depends on, in its own sources. */
export async function amendedCrateOrAbsent(crate: string, program: string, amended: Amended): Promise<string | Absent> {
  const { version, dependency, from, to } = amended;
  return await builtOrAbsent(crate, program, (folder) =>
    [
      `set -e; rm -rf '${folder}'; mkdir -p '${folder}/asking' '${folder}/bin'; cd '${folder}/asking'`,
      "cargo init --quiet --name asking",
      `cargo add --quiet ${crate}@=${version}`,
      "cargo vendor --quiet >/dev/null",
      `cp -r vendor/${crate} ../source; cd ../source; rm -f Cargo.lock Cargo.toml.orig .cargo-checksum.json`,
      `sed -i '/^\\[dependencies.${dependency}]$/,/^$/s/"${from}"/"${to}"/' Cargo.toml`,
      "nice cargo build --quiet --release --bins",
      "find target/release -maxdepth 1 -type f -perm -u+x -exec cp {} ../bin \\;",
      "cd ..; rm -rf asking source",
    ].join("\n"),
  );
}

interface Amended {
  readonly version: string;
  readonly dependency: string;
  readonly from: string;
  readonly to: string;
}

async function builtOrAbsent(crate: string, program: string, script: (folder: string) => string): Promise<string | Absent> {
  const folder = join(cacheFolder(), crate);
  const bin = join(folder, "bin");
  if (existsSync(join(bin, program))) return bin;
  if (!mayInstall()) return { name: crate, absent: "not in the cache, and nothing is to be installed" };
  if (Bun.which("cargo") === null) return { name: crate, absent: "there is no cargo to build it" };
  console.error(`bench: building ${crate} from crates.io, which takes minutes, once …`);
  const failure = await once(crate, script(folder));
  return existsSync(join(bin, program)) ? bin : { name: crate, absent: failure ?? `the crate has no ${program}` };
}

/** A python of its own with the package. */
export async function pythonWithOrAbsent(pythonPackage: string): Promise<string | Absent> {
  const folder = join(cacheFolder(), `python-${pythonPackage}`);
  const python = join(folder, "bin", "python");
  if (existsSync(join(folder, "installed"))) return python;
  if (!mayInstall()) return { name: pythonPackage, absent: "not in the cache, and nothing is to be installed" };
  if (Bun.which("python3") === null) return { name: pythonPackage, absent: "there is no python3" };
  const pip = `'${python}' -m pip install --quiet --disable-pip-version-check ${pythonPackage}`;
  const failure = await once(`pip-${pythonPackage}`, `python3 -m venv '${folder}' && ${pip} && touch '${folder}/installed'`);
  return existsSync(join(folder, "installed")) ? python : { name: pythonPackage, absent: failure ?? "pip did not install it" };
}

function mayInstall(): boolean {
  return process.env["EXPJOB_BENCH_INSTALL"] !== "0";
}

/** Tried once: a failure is kept with the last of what was said, until its file is removed. @returns null when it succeeded */
async function once(what: string, script: string): Promise<string | null> {
  const failureFile = join(cacheFolder(), `${what}.failed`);
  if (existsSync(failureFile)) return `${readFileSync(failureFile, "utf8")} (remove ${failureFile} to try again)`;
  const child = Bun.spawn(["sh", "-c", script], { cwd: cacheFolder(), stdio: ["ignore", "ignore", "pipe"] });
  const said = await child.stderr.text();
  if ((await child.exited) === 0) return null;
  const reason =
    said
      .trim()
      .split("\n")
      .slice(-HINT_LINES)
      .findLast((line) => /error|unable|fail/i.test(line)) ?? "it could not be installed";
  writeFileSync(failureFile, reason.trim().slice(0, 200));
  return reason.trim().slice(0, 200);
}
