/**
 * Values that a schema accepts, drawn at random from the schema itself: whatever method is added, the tests that
 * send to all of them send to it too. And the ways to make such a value nearly right.
 */
import type * as v from "valibot";

export type Pick = (below: number) => number;

/** What of a valibot schema is read here: the public fields of its objects. */
interface SchemaFields {
  readonly type: string;
  readonly entries?: Readonly<Record<string, v.GenericSchema>>;
  readonly item?: v.GenericSchema;
  readonly wrapped?: v.GenericSchema;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly key?: v.GenericSchema;
  readonly value?: v.GenericSchema;
  readonly pipe?: readonly { readonly type: string; readonly requirement?: unknown }[];
}

/** @param text what a text may be: an entry is chosen by the field's name, and `""` is for all others */
export function sampled(schema: v.GenericSchema, pick: Pick, text: Readonly<Record<string, readonly string[]>>, field = ""): unknown {
  const fields = schema as unknown as SchemaFields;
  const of = (inner: v.GenericSchema | undefined, name = field): unknown => (inner === undefined ? null : sampled(inner, pick, text, name));
  switch (fields.type) {
    case "object":
      return Object.fromEntries(Object.entries(fields.entries ?? {}).map(([name, inner]) => [name, of(inner, name)]));
    case "array":
      return Array.from({ length: 1 + pick(3) }, () => of(fields.item));
    case "optional":
      return pick(2) === 0 ? undefined : of(fields.wrapped);
    case "nullable":
      return pick(2) === 0 ? null : of(fields.wrapped);
    case "variant":
    case "union":
      return of(chosen(fields.options as readonly v.GenericSchema[], pick));
    case "picklist":
      return chosen(fields.options ?? [], pick);
    case "literal":
      return fields.literal;
    case "record":
      return Object.fromEntries(Array.from({ length: pick(3) }, () => [String(of(fields.key)), of(fields.value)]));
    case "instance":
      return Buffer.from(String(chosen(text[""] ?? [""], pick)));
    case "boolean":
      return pick(2) === 0;
    case "number":
      return leastOf(fields) + pick(4);
    case "string":
      return withinLimits(chosen(text[field] ?? text[""] ?? [""], pick), fields);
  }
  throw new Error(`a schema of type "${fields.type}" cannot be sampled yet`);
}

/** Things that stand where something else was expected. The large ones are few: they are for the limits. */
const STRANGE: readonly ((pick: Pick) => unknown)[] = [
  () => null,
  () => -1,
  () => 2 ** 53,
  () => Number.NaN,
  () => Number.NEGATIVE_INFINITY,
  () => 0.5,
  () => true,
  () => "",
  () => "\0",
  () => "__proto__",
  () => "\u001b[2J\u202e\u{1f4a9}",
  () => "../../../../etc/passwd",
  () => "{A}{{B}}${C}{JID}",
  () => "'\"\\",
  () => new Uint8Array(9),
  () => [],
  () => ({}),
  () => ({ constructor: "x", toString: 1, length: 2 ** 31 }),
  (pick) => "x".repeat(1 + pick(100_000)),
  (pick) => Array.from({ length: pick(2_000) }, (_, index) => index),
  (pick) => nested(1 + pick(40)),
];

/** The same value with one place changed: another type, another bound, a field gone, one too many. */
export function disturbed(value: unknown, pick: Pick): unknown {
  const isDeeper = pick(3) > 0;
  if (Array.isArray(value) && value.length > 0 && isDeeper)
    return value.with(pick(value.length), disturbed(value[pick(value.length)], pick));
  if (isRecord(value) && isDeeper) {
    const names = Object.keys(value);
    const name = names[pick(names.length)];
    if (name === undefined) return { extra: strange(pick) };
    if (pick(6) === 0) return Object.fromEntries(Object.entries(value).filter(([other]) => other !== name));
    if (pick(6) === 0) return { ...value, [`${name}x`]: strange(pick) };
    return { ...value, [name]: disturbed(value[name], pick) };
  }
  return strange(pick);
}

function strange(pick: Pick): unknown {
  return chosen(STRANGE, pick)(pick);
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let left = depth; left > 0; left -= 1) value = left % 2 === 0 ? [value] : { a: value };
  return value;
}

function withinLimits(text: string, { pipe = [] }: SchemaFields): string {
  const limit = (type: string): number => Number(pipe.find((action) => action.type === type)?.requirement ?? Number.POSITIVE_INFINITY);
  // No character has more than three bytes for each of its UTF-16 units.
  const most = Math.min(limit("max_length"), Math.floor(limit("max_bytes") / 3));
  return text.length > most ? text.slice(0, most).toWellFormed() : text;
}

function leastOf(fields: SchemaFields): number {
  const least = fields.pipe?.find((action) => action.type === "min_value")?.requirement;
  return typeof least === "number" ? least : 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function chosen<Item>(items: readonly Item[], pick: Pick): Item {
  const item = items[pick(items.length)];
  if (item === undefined && items.length === 0) throw new Error("nothing to choose from");
  return item as Item;
}
