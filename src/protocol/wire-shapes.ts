/**
 * Turns the schemas of all methods into shapes (shape.ts). It runs while the program is built, or its source loaded, as a
 * macro: a client has what it returns inside, and neither the schemas nor valibot. A schema that has no shape stops the build.
 */
import type * as v from "valibot";
import type { Method } from "./method.ts";
import { METHODS, type MethodName } from "./methods.ts";
import type { Field, Shape, WireMethod } from "./shape.ts";

/** A WireMethod of each as JSON: a text costs a program less to load than so many objects. */
export function wireShapes(): Record<MethodName, string> {
  const methods: Record<string, string> = {};
  for (const [name, method] of Object.entries<Method>(METHODS)) {
    const { mutates, result, chunk } = method;
    const wire: WireMethod = { mutates, result: shapeOf(result), ...(chunk === undefined ? {} : { chunk: shapeOf(chunk) }) };
    methods[name] = JSON.stringify(wire);
  }
  return methods;
}

/** Only what a value is, not how long or large it may be: limits are for what comes from clients. */
function shapeOf(schema: v.GenericSchema): Shape {
  const inner = schema as SchemaParts;
  switch (inner.type) {
    case "string":
      return { is: "text" };
    case "number":
    case "boolean":
      return { is: inner.type };
    case "instance":
      if (inner.class !== Uint8Array) throw new Error("Only bytes are sent as they are.");
      return { is: "bytes" };
    case "literal":
      return { is: "one-of", values: [inner.literal] };
    case "picklist":
      return { is: "one-of", values: inner.options };
    case "nullable":
      return { is: "nullable", of: shapeOf(inner.wrapped) };
    case "array":
      return { is: "list", of: shapeOf(inner.item) };
    case "record":
      return { is: "record", of: shapeOf(inner.value) };
    case "object":
      return { is: "map", fields: Object.entries(inner.entries).map(([name, entry]) => fieldOf(name, entry)) };
    case "variant":
      return { is: "variant", key: inner.key, cases: Object.fromEntries(inner.options.map((option) => caseOf(inner.key, option))) };
  }
  throw new Error(`No reply may hold a ${schema.type}: shape.ts does not know it.`);
}

function fieldOf(name: string, schema: v.GenericSchema): Field {
  // misfit() would find what every object inherits.
  if (name in Object.prototype) throw new Error(`No field may be called ${name}.`);
  const inner = schema as SchemaParts;
  if (inner.type !== "optional") return { name, ...checked(schema), optional: false };
  const field = { name, ...checked(inner.wrapped), optional: true };
  return inner.default === undefined ? field : { ...field, otherwise: JSON.stringify(inner.default) };
}

function checked(schema: v.GenericSchema): Pick<Field, "shape" | "plain" | "nullable"> {
  const shape = shapeOf(schema);
  const nullable = shape.is === "nullable" ? ({ nullable: true } as const) : {};
  const kind = shape.is === "nullable" ? shape.of.is : shape.is;
  if (kind === "text") return { shape, plain: "string", ...nullable };
  return kind === "number" || kind === "boolean" ? { shape, plain: kind, ...nullable } : { shape, ...nullable };
}

function caseOf(key: string, schema: v.GenericSchema): [string, Shape] {
  const shape = shapeOf(schema);
  const names = shape.is === "map" ? shape.fields.find(({ name }) => name === key)?.shape : undefined;
  if (names?.is !== "one-of" || typeof names.values[0] !== "string") throw new Error(`A variant without a literal ${key}.`);
  return [names.values[0], shape];
}

/** What is read of valibot's schemas. */
type SchemaParts =
  | { readonly type: "string" | "number" | "boolean" }
  | { readonly type: "instance"; readonly class: unknown }
  | { readonly type: "literal"; readonly literal: string | number | boolean }
  | { readonly type: "picklist"; readonly options: readonly string[] }
  | { readonly type: "nullable"; readonly wrapped: v.GenericSchema }
  | { readonly type: "optional"; readonly wrapped: v.GenericSchema; readonly default: unknown }
  | { readonly type: "array"; readonly item: v.GenericSchema }
  | { readonly type: "record"; readonly value: v.GenericSchema }
  | { readonly type: "object"; readonly entries: Readonly<Record<string, v.GenericSchema>> }
  | { readonly type: "variant"; readonly key: string; readonly options: readonly v.GenericSchema[] };
