/** A value that must not be found, and the places where it is looked for: files by name and content, bytes, processes. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export interface Canary {
  readonly value: string;
  /** The part of it that every way of quoting leaves as it is; never the value of anything else. */
  readonly core: string;
}

/** @param shape what stands around the core: `*` is its place */
export function newCanary(shape = "*"): Canary {
  const core = `canary${crypto.randomUUID().replaceAll("-", "")}`;
  return { core, value: shape.replaceAll("*", core) };
}

/** Does the canary sing in these bytes, as it is or in an encoding that somebody might choose? */
export function singsIn(bytes: Uint8Array | string, canary: Canary): boolean {
  const buffer = Buffer.from(bytes as string);
  return disguises(canary.core).some((disguise) => buffer.includes(disguise));
}

export class FileHunt {
  files = 0;
  readonly hits: string[] = [];

  /** @param allowed paths that may hold it */
  constructor(
    private readonly canaries: readonly Canary[],
    private readonly allowed: (path: string) => boolean,
  ) {}

  search(folder: string): void {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      this.files += 1;
      for (const canary of this.canaries) {
        if (singsIn(entry.name, canary)) this.hits.push(`${path} (its name)`);
        if (entry.isSymbolicLink() && singsIn(readlinkSync(path), canary)) this.hits.push(`${path} (its target)`);
        if (entry.isFile() && !this.allowed(path) && singsIn(contentOf(path), canary)) this.hits.push(path);
      }
    }
  }
}

/** Processes that hold it in their arguments or environment, but for those of `isGiven`. */
export function processesWith(
  canaries: readonly Canary[],
  isGiven: (environment: string) => boolean,
): { readonly seen: number; readonly hits: string[] } {
  const hits: string[] = [];
  let seen = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const [words, environment] = ["cmdline", "environ"].map((file) => readOrNothing(`/proc/${pid}/${file}`));
    if (words === undefined || environment === undefined) continue;
    seen += 1;
    for (const canary of canaries) {
      if (singsIn(words, canary)) hits.push(`${pid} cmdline ${words.replaceAll("\0", " ").slice(0, 200)}`);
      if (!isGiven(environment) && singsIn(environment, canary)) hits.push(`${pid} environ of ${words.slice(0, 200)}`);
    }
  }
  return { seen, hits };
}

function disguises(core: string): string[] {
  const bytes = Buffer.from(core);
  // In base64 the first and last characters depend on what stands beside it: the middle does not, but for its place.
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    return text.slice(4, text.length - 6);
  });
  return [core, bytes.toString("hex"), Buffer.from(core, "utf16le").toString("latin1"), ...base64];
}

function contentOf(path: string): Uint8Array {
  if (lstatSync(path).size === 0) return new Uint8Array();
  const bytes = readFileSync(path);
  return path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // Gone in between, or another user's.
    return undefined;
  }
}
