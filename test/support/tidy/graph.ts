/**
 * The import graph of docs/ARCHITECTURE.md as rules: which layer may import which, which package belongs
 * where, and that no files import each other in a circle.
 */
import { dirname, join } from "node:path";
import type { Violation } from "./rules.ts";
import { type Import, importsOf, type SourceFile } from "./source.ts";

/** Own folders are always allowed. `src/main.ts` may import anything, but only lazily. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: [],
  terminal: [],
  config: [],
  store: ["core"],
  client: ["protocol"],
  daemon: ["core", "protocol", "store", "config"],
  commands: ["client", "protocol", "terminal", "config"],
  offline: ["core", "store", "config", "terminal"],
};

/** Allowed as `import type` only. */
const mayImportTypes: Readonly<Record<string, readonly string[]>> = {
  terminal: ["protocol"],
};

interface PackageRule {
  readonly name: string;
  /** Files under src/ that may import it. Tests and scripts may use every package. */
  readonly where: RegExp;
  /** The only entry points that are cheap to load. */
  readonly entryPoints?: readonly string[];
}

const packageRules: readonly PackageRule[] = [
  { name: "ssh2", where: /^src\/daemon\/(ssh|copier)\// },
  { name: "ssh-config", where: /^src\/daemon\/ssh\// },
  { name: "citty", where: /^src\/commands\// },
  { name: "smol-toml", where: /^src\/(config\/|store\/|daemon\/(.*\/)?[\w-]*record[\w-]*\.ts$)/ },
  {
    name: "msgpackr",
    where: /^src\/(protocol|store)\/(.*\/)?[\w-]*(codec|frame|journal|msgpack)[\w-]*\.ts$/,
    entryPoints: ["msgpackr/pack", "msgpackr/unpack"],
  },
  {
    name: "consola",
    where: /^src\/(daemon\/(.*\/)?log[\w-]*\.ts$|terminal\/output[\w-]*\.ts$|commands\/output\.ts$)/,
    entryPoints: ["consola/core"],
  },
  { name: "rotating-file-stream", where: /^src\/daemon\/(.*\/)?log[\w-]*\.ts$/ },
];

/** `core` for src/core/job.ts, `main` for src/main.ts, `test` for what is not under src/. */
export function layerOf(path: string): string {
  if (path === "src/main.ts") return "main";
  const match = /^src\/([^/]+)\//.exec(path);
  if (match?.[1] !== undefined) return match[1];
  return path.startsWith("src/") ? "src" : "outside";
}

export function layerViolations(file: SourceFile): Violation[] {
  const layer = layerOf(file.path);
  if (layer === "outside") return [];
  const violations: Violation[] = [];
  const refuse = (line: number, message: string) => violations.push({ rule: "layer", path: file.path, line, message });
  if (layer !== "main" && mayImport[layer] === undefined) {
    refuse(1, `${file.path} is in no layer; the layers are ${Object.keys(mayImport).join(", ")}`);
    return violations;
  }
  for (const used of importsOf(file)) {
    const target = targetOf(file, used);
    if (target === undefined || isVersion(file, target)) continue;
    const to = layerOf(target);
    if (layer === "main") {
      if (to === "outside") refuse(used.line, `src must not import ${target}`);
      else if (used.kind === "static") refuse(used.line, `src/main.ts imports ${target} at start; use await import()`);
    } else if (!isAllowed(layer, to, used)) {
      const typeOnly = mayImportTypes[layer]?.includes(to) === true ? " (only with `import type`)" : "";
      refuse(used.line, `${layer} must not import ${to === "outside" ? target : to}${typeOnly}: ${target}`);
    }
  }
  return violations;
}

/** The version stands in package.json alone, and is read in one place. */
function isVersion(file: SourceFile, target: string): boolean {
  return file.path === "src/config/version.ts" && target === "package.json";
}

function isAllowed(from: string, to: string, used: Import): boolean {
  if (from === to || mayImport[from]?.includes(to) === true) return true;
  return used.kind === "type" && mayImportTypes[from]?.includes(to) === true;
}

export function packageViolations(file: SourceFile): Violation[] {
  if (!file.path.startsWith("src/")) return [];
  const violations: Violation[] = [];
  for (const { specifier, line, kind } of importsOf(file)) {
    const rule = packageRules.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
    if (rule === undefined) continue;
    const refuse = (message: string) => violations.push({ rule: "package", path: file.path, line, message });
    if (!rule.where.test(file.path)) refuse(`${rule.name} must not be imported here, only in ${rule.where.source}`);
    else if (kind !== "type" && rule.entryPoints?.includes(specifier) === false) {
      refuse(`import ${rule.entryPoints.join(" or ")} instead of ${specifier}, which is slow to load`);
    }
  }
  return violations;
}

/** One violation for each circle, naming its files in order. Type-only imports count: they tie files together as well. */
export function cycleViolations(files: readonly SourceFile[]): Violation[] {
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const targets = importsOf(file).map((used) => targetOf(file, used));
    edges.set(file.path, [...new Set(targets.filter((target) => target !== undefined))]);
  }
  const violations: Violation[] = [];
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const visit = (path: string) => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "open") {
      const circle = [...trail.slice(trail.indexOf(path)), path];
      violations.push({ rule: "cycle", path, line: 1, message: `files import each other: ${circle.join(" -> ")}` });
      return;
    }
    state.set(path, "open");
    trail.push(path);
    for (const next of edges.get(path) ?? []) visit(next);
    trail.pop();
    state.set(path, "done");
  };
  for (const path of edges.keys()) visit(path);
  return violations;
}

/** The file of ours that is meant, or undefined for a package. */
function targetOf(file: SourceFile, { specifier }: Import): string | undefined {
  return specifier.startsWith(".") ? join(dirname(file.path), specifier) : undefined;
}
