/** What npm ci needs of package-lock.json, and what we ask of it beyond. */
import { describe, expect, test } from "bun:test";
import { join, resolve } from "node:path";

interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const root = resolve(import.meta.dir, "../..");
const lock: { readonly packages: Readonly<Record<string, LockEntry>> } = await Bun.file(join(root, "package-lock.json")).json();
const manifest: LockEntry = await Bun.file(join(root, "package.json")).json();
const entries = Object.entries(lock.packages).filter(([path]) => path !== "");

describe("package-lock.json", () => {
  test("asks for what package.json asks for, in exact versions", () => {
    expect(lock.packages[""]?.dependencies).toEqual(manifest.dependencies ?? {});
    expect(lock.packages[""]?.devDependencies).toEqual(manifest.devDependencies ?? {});
    const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  // A mirror that lacks a platform's package makes `npm install` drop it here; `npm ci` then refuses the file.
  test("has an entry for every dependency, those of other platforms too", () => {
    const missing = entries.flatMap(([path, entry]) =>
      Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
        .filter(
          (name) => lock.packages[`node_modules/${name}`] === undefined && lock.packages[`${path}/node_modules/${name}`] === undefined,
        )
        .map((name) => `${path} needs ${name}`),
    );
    expect(missing).toEqual([]);
  });

  test("names no host, and the hash of all that every platform needs", () => {
    expect(entries.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
    const unhashed = entries.filter(([, entry]) => entry.integrity === undefined && !(entry.optional === true && entry.os !== undefined));
    expect(unhashed.map(([path]) => path)).toEqual([]);
  });
});
