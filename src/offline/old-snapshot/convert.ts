/** A snapshot of the old system as what it adds to our state: every id moved by the same amount, nothing of ours touched. */

import { isClassName, isMachineName } from "../../core/address.ts";
import { addCounts } from "../../core/apply-job.ts";
import { type JidRange, withJid } from "../../core/jid-ranges.ts";
import type { Job, JobSpec } from "../../core/job.ts";
import { cellVariables, type Matrix } from "../../core/matrix.ts";
import { isVariableName } from "../../core/names.ts";
import { substitute } from "../../core/placeholders.ts";
import type { Tag } from "../../core/state.ts";
import { oldCommandLine, specOf, stateOf } from "./job.ts";
import { combinationOf, keysOf, type Shape } from "./matrix.ts";
import type { OldFiles } from "./old-logs.ts";
import { type Lineage, lineages } from "./retries.ts";
import type { OldMatrix, OldSnapshot, OldTask } from "./snapshot.ts";

export interface Imported {
  /** Ascending. */
  readonly jobs: readonly Job[];
  readonly matrices: readonly Matrix[];
  readonly tags: readonly Tag[];
  readonly nextId: number;
  readonly machines: Sorted;
  readonly variables: Sorted;
  /** Jobs that the old system was about to forget: they are not in `jobs`. */
  readonly forgotten: number;
}

/** What a map of names and values became. */
export interface Sorted {
  readonly good: readonly (readonly [name: string, value: string])[];
  readonly refused: readonly string[];
}

export interface ConvertOptions {
  /** Added to every id. */
  readonly shift: number;
  readonly files: OldFiles;
  readonly now: number;
}

export function convert(old: OldSnapshot, options: ConvertOptions): Imported {
  const { shift } = options;
  const tasks = old.tasks.filter((task) => task.state.kind !== "forgotten");
  const shapes = new Map<number, MatrixShape>();
  for (const matrix of old.matrices) shapes.set(matrix.id, { old: matrix, keys: keysOf(matrix), repeats: 1 });
  const placed = new Map(tasks.map((task) => [task.jid, placeOf(task, shapes)]));
  const lines = lineages(tasks, (task) => alikeness(task, placed.get(task.jid) ?? null));
  for (const task of tasks) {
    const place = placed.get(task.jid);
    if (place == null) continue;
    place.shape.repeats = Math.max(place.shape.repeats, (lines.get(task.jid)?.chain ?? 0) + 1);
  }
  const specs = new Specs();
  const jobs = tasks.map((task) => jobFrom(task, { place: placed.get(task.jid) ?? null, line: lines.get(task.jid), specs, ...options }));
  return {
    jobs,
    matrices: matricesOf(shapes, jobs, options),
    tags: old.tags.map((tag) => tagOf(tag.id + shift, jobs, options.now)),
    nextId: old.nextId + shift,
    machines: sorted(old.machines, (name, value) => isMachineName(name) && isClassName(value)),
    variables: sorted(old.variables, isVariableName),
    forgotten: old.tasks.length - tasks.length,
  };
}

interface MatrixShape extends Shape {
  readonly old: OldMatrix;
  repeats: number;
}

interface Place {
  readonly shape: MatrixShape;
  readonly combination: number;
}

function placeOf(task: OldTask, shapes: ReadonlyMap<number, MatrixShape>): Place | null {
  const shape = task.matrix === null ? undefined : shapes.get(task.matrix);
  const combination = shape === undefined ? null : combinationOf(shape.keys, task);
  return shape === undefined || combination === null ? null : { shape, combination };
}

function alikeness(task: OldTask, place: Place | null): string {
  if (place !== null) return `${place.shape.old.id} ${place.combination}`;
  const { kind, machine, class: className, cmds, copyTo, variables } = task;
  return JSON.stringify([kind, kind === "setup" ? machine : null, className, cmds, copyTo, [...variables].sort()]);
}

interface JobOptions extends ConvertOptions {
  readonly place: Place | null;
  readonly line: Lineage | undefined;
  readonly specs: Specs;
}

function jobFrom(task: OldTask, { place, line, specs, shift, files }: JobOptions): Job {
  const jid = task.jid + shift;
  const moved = (id: number | null | undefined): number | null => (id === null || id === undefined ? null : id + shift);
  const cell = place === null ? null : place.combination * place.shape.repeats + (line?.chain ?? 0);
  const matrix = place === null || cell === null ? null : { id: place.shape.old.id + shift, cell };
  return {
    jid,
    spec: specs.shared(specFor(task, place, cell)),
    matrix,
    tag: moved(task.tag),
    attempt: task.attempt + 1,
    retryOf: moved(line?.retryOf),
    retriedBy: moved(line?.retriedBy),
    timeoutSeconds: task.timeoutMinutes === null ? null : task.timeoutMinutes * 60,
    created: task.time,
    state: stateOf(task, jid, files),
  };
}

/** The template of the matrix, when it makes the command that the job had: its values were put in when it was queued. */
function specFor(task: OldTask, place: Place | null, cell: number | null): JobSpec {
  if (place === null || cell === null) return specOf(task, [], null);
  const { shape } = place;
  const values = cellVariables(shape, cell);
  const named = (name: string): string | undefined => values[name] ?? task.variables.get(name);
  const machine = (text: string): string => substitute(text, (name) => (name === "MACHINE" ? (task.machine ?? undefined) : undefined));
  const fits = machine(substitute(shape.old.cmd, named)) === oldCommandLine(task, 0);
  return specOf(task, Object.keys(values), fits ? shape.old.cmd : null);
}

function matricesOf(shapes: ReadonlyMap<number, MatrixShape>, jobs: readonly Job[], { shift, now }: ConvertOptions): Matrix[] {
  const members = Map.groupBy(jobs, (job) => job.matrix?.id);
  const matrices: Matrix[] = [];
  for (const { old, keys, repeats } of shapes.values()) {
    const id = old.id + shift;
    const own = members.get(id);
    // As here: a matrix whose jobs are all forgotten is forgotten.
    if (own === undefined) continue;
    const { cmd, class: className, copyTo } = old;
    const created = earliest(own, now);
    matrices.push({ id, class: className, cmd, copyTo, keys, repeats, created, jids: rangesOf(own), counts: addCounts(own) });
  }
  return matrices;
}

function tagOf(id: number, jobs: readonly Job[], now: number): Tag {
  const own = jobs.filter((job) => job.tag === id);
  return { id, created: earliest(own, now), jids: rangesOf(own) };
}

function earliest(jobs: readonly Job[], instead: number): number {
  return jobs.length === 0 ? instead : jobs.reduce((first, job) => Math.min(first, job.created), Number.POSITIVE_INFINITY);
}

export function rangesOf(jobs: Iterable<{ readonly jid: number }>): readonly JidRange[] {
  const ranges: JidRange[] = [];
  for (const { jid } of jobs) {
    const last = ranges.pop();
    ranges.push(...withJid(last === undefined ? [] : [last], jid));
  }
  return ranges;
}

function sorted(map: ReadonlyMap<string, string>, isGood: (name: string, value: string) => boolean): Sorted {
  const [good, bad] = [[...map].filter(([name, value]) => isGood(name, value)), [...map].filter(([name, value]) => !isGood(name, value))];
  return { good: good.sort(([a], [b]) => (a < b ? -1 : 1)), refused: bad.map(([name]) => name).sort() };
}

/** Jobs of one request asked for the same: they share it, as ours do. */
class Specs {
  private readonly known = new Map<string, JobSpec>();

  shared(spec: JobSpec): JobSpec {
    const content = JSON.stringify(spec);
    const known = this.known.get(content);
    if (known !== undefined) return known;
    this.known.set(content, spec);
    return spec;
  }
}
