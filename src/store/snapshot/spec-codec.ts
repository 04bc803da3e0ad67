/** What was asked for, which many jobs share: written once a file, `[[specs]]`, and named by number. */
import * as v from "valibot";
import type { JobSpec } from "../../core/job.ts";
import { integer, mapNullable, optionalField, type TomlTable, table, textRecord } from "./scalar-codec.ts";

/** Of most specs: a queue of 100,000 requests need not have 100,000 of them. */
const NO_VARIABLES: JobSpec["variables"] = {};
const NO_SECRETS: JobSpec["secrets"] = [];

export const specSchema = v.pipe(
  v.strictObject({
    id: integer,
    class: v.string(),
    cmd: v.string(),
    machine: optionalField(v.string()),
    cmds: v.optional(v.array(v.string()), []),
    copy_to: optionalField(v.string()),
    notify: v.optional(v.boolean(), false),
    retry: optionalField(v.strictObject({ max_failures: optionalField(integer) })),
    variables: v.optional(textRecord),
    secrets: v.optional(v.array(v.string())),
  }),
  v.transform(({ id, copy_to, retry, machine, cmds, ...rest }): { readonly id: number; readonly spec: JobSpec } => {
    const common = {
      class: rest.class,
      cmd: rest.cmd,
      copyTo: copy_to,
      retry: mapNullable(retry, (policy) => ({ maxFailures: policy.max_failures })),
      notify: rest.notify,
      variables: rest.variables ?? NO_VARIABLES,
      secrets: rest.secrets ?? NO_SECRETS,
    };
    return { id, spec: machine === null ? { kind: "job", ...common } : { kind: "setup", ...common, machine, cmds } };
  }),
);

/** Jobs that share a spec, or ask for the same, follow one another: older specs need not be known, and would be garbage that is dear. */
const KNOWN_MAX = 4_096;

/** Gives each spec a number, in the order in which they are met; those that are alike and near each other get one. */
export class SpecNumbers {
  private readonly byIdentity = new Map<JobSpec, number>();
  private readonly byContent = new Map<string, number>();
  private readonly found: JobSpec[] = [];

  numberOf(spec: JobSpec): number {
    const known = this.byIdentity.get(spec);
    if (known !== undefined) return known;
    // Not the spec itself: the order of its fields tells where it comes from.
    const content = JSON.stringify(encodeSpec(spec, 0));
    const number = this.byContent.get(content) ?? this.found.length;
    if (number === this.found.length) this.found.push(spec);
    remember(this.byContent, content, number);
    remember(this.byIdentity, spec, number);
    return number;
  }

  *tables(): Generator<TomlTable> {
    for (const [number, spec] of this.found.entries()) yield encodeSpec(spec, number);
  }
}

function remember<Key>(numbers: Map<Key, number>, key: Key, number: number): void {
  if (numbers.size === KNOWN_MAX) numbers.clear();
  numbers.set(key, number);
}

function encodeSpec(spec: JobSpec, id: number): TomlTable {
  const { retry } = spec;
  return table({
    id,
    class: spec.class,
    cmd: spec.cmd,
    machine: spec.kind === "setup" ? spec.machine : null,
    cmds: spec.kind === "setup" ? spec.cmds : null,
    copy_to: spec.copyTo,
    notify: spec.notify ? true : null,
    secrets: spec.secrets.length === 0 ? null : spec.secrets,
    retry: mapNullable(retry, (policy) => table({ max_failures: policy.maxFailures })),
    variables: Object.keys(spec.variables).length === 0 ? null : spec.variables,
  });
}
