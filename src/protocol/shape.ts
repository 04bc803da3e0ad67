/**
 * The shape of a reply as plain data, and the check of a value against it. The schemas of methods/ are the one place where
 * shapes are declared; wire-shapes.ts turns them into this when the program is built, because loading valibot and all
 * schemas takes a client longer than everything else that it does for one call.
 */

export type Shape =
  | { readonly is: "text" | "number" | "boolean" | "bytes" }
  | { readonly is: "one-of"; readonly values: readonly (string | number | boolean)[] }
  | { readonly is: "nullable" | "list" | "record"; readonly of: Shape }
  | { readonly is: "map"; readonly fields: readonly Field[] }
  /** The text under `key` tells which map it is. */
  | { readonly is: "variant"; readonly key: string; readonly cases: Readonly<Record<string, Shape>> };

export interface Field {
  readonly name: string;
  readonly shape: Shape;
  readonly optional: boolean;
  /** What `typeof` says of most values that fit, and whether null does: so most need no look at the shape. */
  readonly plain?: "string" | "number" | "boolean";
  readonly nullable?: true;
  /** What an optional field is when it was left out, as JSON. */
  readonly otherwise?: string;
}

/** What a client must know of a method. */
export interface WireMethod {
  readonly mutates: boolean;
  readonly result: Shape;
  readonly chunk?: Shape;
}

/**
 * Fields that the shape does not have are taken out of `value`, and what stands for a field that was left out is put in.
 * @returns where it does not fit, as in `jobs.0.status` ("": all of it); null when it fits
 */
export function misfit(shape: Shape, value: unknown): string | null {
  switch (shape.is) {
    case "text":
      return typeof value === "string" ? null : "";
    case "number":
      return typeof value === "number" && !Number.isNaN(value) ? null : "";
    case "boolean":
      return typeof value === "boolean" ? null : "";
    case "bytes":
      return value instanceof Uint8Array ? null : "";
    case "one-of":
      return shape.values.some((each) => each === value) ? null : "";
    case "nullable":
      return value === null ? null : misfit(shape.of, value);
    case "list":
      return listMisfit(shape.of, value);
    case "record":
      return recordMisfit(shape.of, value);
    case "map":
      return mapMisfit(shape.fields, value);
    case "variant":
      return variantMisfit(shape, value);
  }
}

function listMisfit(shape: Shape, value: unknown): string | null {
  if (!Array.isArray(value)) return "";
  for (let index = 0; index < value.length; index += 1) {
    const inner = misfit(shape, value[index]);
    if (inner !== null) return joined(String(index), inner);
  }
  return null;
}

function recordMisfit(shape: Shape, value: unknown): string | null {
  if (!isMap(value)) return "";
  for (const key of Object.keys(value)) {
    const inner = misfit(shape, value[key]);
    if (inner !== null) return joined(key, inner);
  }
  return null;
}

function mapMisfit(fields: readonly Field[], value: unknown): string | null {
  if (!isMap(value)) return "";
  let known = 0;
  for (const field of fields) {
    const item = value[field.name];
    if (item === null ? field.nullable === true : typeof item === field.plain && (field.plain !== "number" || !Number.isNaN(item))) {
      known += 1;
      continue;
    }
    if (item === undefined) {
      if (!field.optional) return field.name;
      if (field.otherwise === undefined) continue;
      value[field.name] = JSON.parse(field.otherwise);
    } else {
      const inner = misfit(field.shape, item);
      if (inner !== null) return joined(field.name, inner);
    }
    known += 1;
  }
  const keys = Object.keys(value);
  if (keys.length === known) return null;
  for (const key of keys) {
    if (!fields.some(({ name }) => name === key)) delete value[key];
  }
  return null;
}

function variantMisfit({ key, cases }: Extract<Shape, { is: "variant" }>, value: unknown): string | null {
  if (!isMap(value)) return "";
  const name = value[key];
  const shape = typeof name === "string" && Object.hasOwn(cases, name) ? cases[name] : undefined;
  return shape === undefined ? key : misfit(shape, value);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function joined(outer: string, inner: string): string {
  return inner === "" ? outer : `${outer}.${inner}`;
}
