/** Where results are: the path that the record says, a suffix behind it, or another folder that they were moved to by hand. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { StatRecord } from "../../terminal/job-stat.ts";
import type { StatPlan } from "./stat-plan.ts";

export function withResultsPath(record: StatRecord, { suffix, alternatives }: Pick<StatPlan, "suffix" | "alternatives">): StatRecord {
  const path = record["results_path"];
  if (typeof path !== "string") return record;
  const named = suffix === null ? path : suffixed(record, path, suffix);
  return { ...record, results_path: found(named, alternatives) };
}

/** The name with which all files of the job begin, in the folder they are in, and the suffix. */
function suffixed({ results, cp_results: copyTo, files }: StatRecord, path: string, suffix: string): string {
  const prefix = Array.isArray(results) ? String(results[0] ?? "") : "";
  const start = prefix.slice(prefix.lastIndexOf("/") + 1);
  const folder = folderOf(path, { start, copiedTo: typeof copyTo === "string" ? join(copyTo, ".") : "" });
  // One file or one folder: the record knows best how it is called by now.
  if (suffix === "" && folder !== path) return path;
  const name = `${start}${suffix}`;
  return join(folder, name === "" ? "." : (asideName(files, name) ?? name));
}

/** Results that are one file or one folder are named themselves; those that are several, by the folder they are in. */
function folderOf(path: string, { start, copiedTo }: { readonly start: string; readonly copiedTo: string }): string {
  if (path === copiedTo) return path;
  if (dirname(path) === copiedTo) return copiedTo;
  return start !== "" && basename(path).startsWith(start) ? dirname(path) : path;
}

/** A file that had to make room for another job's has that name no more. */
function asideName(files: unknown, name: string): string | undefined {
  if (!Array.isArray(files)) return undefined;
  const paths = files.map((file: { readonly path?: unknown }) => String(file.path));
  return paths.includes(name) ? name : paths.find((path) => path.startsWith(name) && /^\.~\d+~$/.test(path.slice(name.length)));
}

/** In its place, or under one of the folders with as little of its path as leads to something; otherwise as it was. */
function found(path: string, alternatives: readonly string[]): string {
  if (alternatives.length === 0 || existsSync(path)) return path;
  const parts = path.split("/");
  for (let kept = 1; kept < parts.length; kept++) {
    for (const folder of alternatives) {
      const candidate = join(folder, ...parts.slice(-kept));
      if (existsSync(candidate)) return candidate;
    }
  }
  return path;
}
