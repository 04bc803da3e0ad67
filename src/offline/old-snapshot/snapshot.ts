/**
 * What is in the file `server-snapshot` of the old system: which field is what, in its releases 0.4 to 0.10 (those
 * from 2021 on have tags and `notify`). Nothing is made of it here but types that say what is there.
 *
 *   file     1 machines, 2 variables, 3 tasks, 4 matrices, 6 tags (maps: 1 key, 2 value), 5 the next id
 *   machine  1 class, 2 the task that runs there
 *   task     1 id, 2 kind (0 job, 1 setup), 3 machine, 4 class, 5 where results go, 6 variables (map), 7 commands,
 *            8 cancel (true: and forget), 9 state, 10 retry, 11 time, 12 end, 13 matrix, 14 timeout (minutes),
 *            15 command that timed out, 16 failures allowed, 17 attempt (from 0), 18 tag, 19 notify
 *   state    one of 1 waiting, 2 held, 3 running {1 command}, 4 checking, 5 copying {1 prefix}, 6 finalize {1 prefix},
 *            7 canceled {1 forget}, 8 done, 9 done with results {1 prefix}, 10 error {1 text, 2 command}, 11 killed,
 *            12 unknown {1 machine}
 *   matrix   1 id, 2 command, 3 class, 4 where results go, 5 variables (map of {1 values}), 6 ids
 *   tag      1 ids
 */
import { BadSnapshot, Message } from "./message.ts";

export interface OldSnapshot {
  readonly machines: ReadonlyMap<string, string>;
  readonly variables: ReadonlyMap<string, string>;
  /** Ascending. */
  readonly tasks: readonly OldTask[];
  readonly matrices: readonly OldMatrix[];
  readonly tags: readonly OldTag[];
  readonly nextId: number;
}

export interface OldTask {
  readonly jid: number;
  readonly kind: "job" | "setup";
  readonly matrix: number | null;
  readonly tag: number | null;
  readonly machine: string | null;
  readonly class: string | null;
  readonly copyTo: string | null;
  readonly variables: ReadonlyMap<string, string>;
  /** At least one. */
  readonly cmds: readonly string[];
  readonly state: OldState;
  readonly retry: boolean;
  readonly failuresMax: number | null;
  /** From 0. */
  readonly attempt: number;
  /** When it was queued, or started once it has. */
  readonly time: number;
  readonly ended: number | null;
  readonly timeoutMinutes: number | null;
  readonly notify: boolean;
}

export type OldState =
  | { readonly kind: "waiting" | "held" | "running" | "checking" | "killed" | "unknown" | "forgotten" }
  /** Exited with 0 and named results; whether they were fetched is `kind`. */
  | { readonly kind: "copying"; readonly prefix: string }
  | { readonly kind: "done"; readonly prefix: string | null }
  | { readonly kind: "error"; readonly message: string; readonly command: number };

export interface OldMatrix {
  readonly id: number;
  readonly cmd: string;
  readonly class: string;
  readonly copyTo: string | null;
  readonly variables: ReadonlyMap<string, readonly string[]>;
  readonly jids: readonly number[];
}

export interface OldTag {
  readonly id: number;
  readonly jids: readonly number[];
}

/** @throws BadSnapshot when the bytes are no whole snapshot */
export function readOldSnapshot(bytes: Uint8Array): OldSnapshot {
  const file = Message.read(bytes, "the file");
  const nextId = file.number(5);
  if (nextId === null) throw new BadSnapshot("it has no next id: it was cut, or is something else");
  const tasks = file.messages(3, "a job").map((entry) => readTask(entryValue(entry, "a job")));
  const matrices = file.messages(4, "a matrix").map((entry) => readMatrix(entryValue(entry, "a matrix")));
  const tags = file
    .messages(6, "a tag")
    .map((entry): OldTag => ({ id: entry.number(1) ?? 0, jids: [...entryValue(entry, "a tag").numbers(1)].sort(ascending) }));
  checkIds([...tasks.map((task) => task.jid), ...matrices.map((matrix) => matrix.id), ...tags.map((tag) => tag.id)], nextId);
  return {
    machines: new Map(file.messages(1, "a machine").map((entry) => [entry.text(1) ?? "", entryValue(entry, "a machine").requiredText(1)])),
    variables: textMap(file, 2),
    tasks: tasks.sort((a, b) => a.jid - b.jid),
    matrices: matrices.sort((a, b) => a.id - b.id),
    tags: withNamedTags(tags, tasks).sort((a, b) => a.id - b.id),
    nextId,
  };
}

function readTask(task: Message): OldTask {
  const jid = task.requiredNumber(1);
  const cmds = task.texts(7);
  if (cmds.length === 0) throw task.bad(7, `job ${jid} has no command`);
  const time = timeOf(task.requiredText(11));
  if (time === null) throw task.bad(11, `job ${jid} has no time that can be read`);
  const state = readState(task.required(9, task.message(9, "a state")));
  const forget = task.number(8);
  return {
    jid,
    kind: task.requiredNumber(2) === 1 ? "setup" : "job",
    matrix: task.number(13),
    tag: task.number(18),
    machine: task.text(3),
    class: task.text(4),
    copyTo: task.text(5),
    variables: textMap(task, 6),
    cmds,
    state: forget === null ? state : { kind: forget === 0 ? "killed" : "forgotten" },
    retry: task.requiredNumber(10) !== 0,
    failuresMax: task.number(16),
    attempt: task.requiredNumber(17),
    time,
    ended: timeOf(task.text(12) ?? ""),
    timeoutMinutes: task.number(14),
    notify: (task.number(19) ?? 0) !== 0,
  };
}

function readState(state: Message): OldState {
  const [number, ...more] = state.present();
  if (number === undefined || more.length > 0) throw state.bad(number ?? 0, "not one state");
  const inside = (): Message => state.required(number, state.message(number, "a state"));
  switch (number) {
    case 1:
      return { kind: "waiting" };
    case 2:
      return { kind: "held" };
    case 3:
      return { kind: "running" };
    case 4:
      return { kind: "checking" };
    case 5:
      return { kind: "copying", prefix: inside().requiredText(1) };
    case 6:
      return { kind: "done", prefix: inside().text(1) };
    case 7:
      return { kind: inside().number(1) === 1 ? "forgotten" : "killed" };
    case 8:
      return { kind: "done", prefix: null };
    case 9:
      return { kind: "done", prefix: inside().requiredText(1) };
    case 10:
      return { kind: "error", message: inside().requiredText(1), command: inside().number(2) ?? 0 };
    case 11:
      return { kind: "killed" };
    case 12:
      return { kind: "unknown" };
  }
  throw state.bad(number, "a state that the old system never had");
}

function readMatrix(matrix: Message): OldMatrix {
  const variables = matrix.messages(5, "a matrix").map((entry) => [entry.text(1) ?? "", entryValue(entry, "a matrix").texts(1)] as const);
  return {
    id: matrix.requiredNumber(1),
    cmd: matrix.requiredText(2),
    class: matrix.requiredText(3),
    copyTo: matrix.text(4),
    variables: new Map(variables),
    jids: [...matrix.numbers(6)].sort(ascending),
  };
}

/** An entry of a map leaves out what is empty. */
function entryValue(entry: Message, what: string): Message {
  return entry.message(2, what) ?? Message.read(new Uint8Array(), what);
}

function textMap(message: Message, field: number): Map<string, string> {
  return new Map(message.messages(field, "a variable").map((entry) => [entry.text(1) ?? "", entry.text(2) ?? ""]));
}

/** Tags are written after the next id, so a file that was cut there still looks whole: what jobs name is there. */
function withNamedTags(tags: readonly OldTag[], tasks: readonly OldTask[]): OldTag[] {
  const known = new Set(tags.map((tag) => tag.id));
  const named = new Set(tasks.flatMap((task) => (task.tag === null || known.has(task.tag) ? [] : [task.tag])));
  return [...tags, ...[...named].map((id): OldTag => ({ id, jids: [] }))];
}

function checkIds(ids: readonly number[], nextId: number): void {
  const seen = new Set<number>();
  for (const id of ids) {
    if (id >= nextId) throw new BadSnapshot(`id ${id} is not below the next id, ${nextId}`);
    if (seen.has(id)) throw new BadSnapshot(`id ${id} is there twice`);
    seen.add(id);
  }
}

/** ISO 8601 with up to nine digits of a second, of which three are kept. */
function timeOf(text: string): number | null {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return null;
  const ms = Date.parse(`${match[1]}${(match[2] ?? "").slice(0, 4)}${match[3]}`);
  return Number.isNaN(ms) ? null : ms;
}

function ascending(a: number, b: number): number {
  return a - b;
}
