/** What somebody may have meant who typed a command that does not exist: a slip, a name from elsewhere, or a level left out. */
import { nearest } from "../config/nearest.ts";
import type { Group } from "./command.ts";
import { UsageError } from "./failure.ts";

/** What other programs call it. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  list: ["ls"],
  queue: ["ls"],
  cancel: ["rm"],
  delete: ["rm"],
  kill: ["rm"],
  remove: ["rm"],
  stop: ["rm"],
  unset: ["rm"],
  create: ["add"],
  new: ["add"],
  run: ["add"],
  submit: ["add"],
  get: ["ls"],
  describe: ["show"],
  info: ["show"],
  status: ["show", "ls"],
  follow: ["log"],
  logs: ["log"],
  tail: ["log"],
  move: ["mv"],
  release: ["unhold"],
  unquarantine: ["restore"],
  daemon: ["serve"],
  start: ["serve"],
  quit: ["stop"],
  shutdown: ["stop"],
  version: ["--version"],
};
const SHOWN_MAX = 3;

export async function unknownCommand(word: string, group: Group, path: readonly string[]): Promise<UsageError> {
  const names = group.commands.map((entry) => entry.name);
  const place = ["j", ...path].join(" ");
  const meant = [...meantBy(word, names), ...nearest(word, names)];
  const close = meant.length > 0 ? meant.map((name) => `${place} ${name}`) : await below(word, group, place);
  const suggestions = [...new Set(close)].slice(0, SHOWN_MAX).map((command) => `\`${command}\``);
  const hint = suggestions.length > 0 ? `Did you mean ${suggestions.join(" or ")}?` : `The commands are: ${names.join(", ")}.`;
  return new UsageError(`There is no command "${[...path, word].join(" ")}".`, hint);
}

function meantBy(word: string, names: readonly string[]): string[] {
  const others = Object.hasOwn(ELSEWHERE, word) ? (ELSEWHERE[word] ?? []) : [];
  return [word, ...others].filter((name) => names.includes(name) || name.startsWith("--"));
}

/** The commands of that name one level down: `ls` for `job ls`. */
async function below(word: string, group: Group, place: string): Promise<string[]> {
  const children = await Promise.all(group.commands.map((entry) => entry.load()));
  return children.flatMap((child) => {
    if (child.kind === "leaf") return [];
    const names = child.commands.map((entry) => entry.name);
    return meantBy(word, names).map((name) => `${place} ${child.name} ${name}`);
  });
}
