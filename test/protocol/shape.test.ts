/** The client's check of replies held against the schemas that it is made from. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import type { Method } from "../../src/protocol/method.ts";
import { METHODS } from "../../src/protocol/methods.ts";
import { misfit, type Shape, type WireMethod } from "../../src/protocol/shape.ts";
import { wireShapes } from "../../src/protocol/wire-shapes.ts";

const shapes = wireShapes();
const replies = Object.entries<Method>(METHODS).flatMap(([name, method]) => {
  const wire = JSON.parse(shapes[name as keyof typeof METHODS]) as WireMethod;
  const chunk = method.chunk !== undefined && wire.chunk !== undefined ? [[`${name}, chunk`, method.chunk, wire.chunk] as const] : [];
  return [[`${name}, result`, method.result, wire.result] as const, ...chunk];
});

const text = fc.string({ maxLength: 5 });

/** Values of that shape, some with fields that nobody declared. */
function fitting(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.is) {
    case "text":
      return text;
    case "number":
      return fc.integer();
    case "boolean":
      return fc.boolean();
    case "bytes":
      return fc.uint8Array({ maxLength: 3 });
    case "one-of":
      return fc.constantFrom(...shape.values);
    case "nullable":
      return fc.option(fitting(shape.of));
    case "list":
      return fc.array(fitting(shape.of), { minLength: 1, maxLength: 3 });
    case "record":
      return fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fitting(shape.of), { maxKeys: 3, noNullPrototype: true });
    case "map": {
      const fields = Object.fromEntries(shape.fields.map(({ name, shape: inner }) => [name, fitting(inner)]));
      const requiredKeys = shape.fields.filter(({ optional }) => !optional).map(({ name }) => name);
      const unknown = fc.dictionary(fc.constantFrom("not_declared", "toString"), fc.constant(1), { maxKeys: 1, noNullPrototype: true });
      return fc.tuple(fc.record(fields, { requiredKeys, noNullPrototype: true }), unknown).map(([known, more]) => ({ ...known, ...more }));
    }
    case "variant":
      return fc.oneof(...Object.values(shape.cases).map(fitting));
  }
}

/** The same with one place in it replaced or taken away. */
function damaged(value: unknown, at: number, by: unknown): unknown {
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const root = { value };
  const walk = (holder: Record<string, unknown>, key: string): void => {
    places.push({ holder, key });
    const item = holder[key];
    if (typeof item !== "object" || item === null || item instanceof Uint8Array) return;
    for (const inner of Object.keys(item)) walk(item as Record<string, unknown>, inner);
  };
  walk(root, "value");
  const place = places[at % places.length];
  if (place === undefined) return value;
  if (by === undefined && !Array.isArray(place.holder)) delete place.holder[place.key];
  else place.holder[place.key] = by ?? null;
  return root.value;
}

describe.each(replies)("%s", (_, schema, shape) => {
  test("takes what the schema takes, and makes the same of it", () => {
    fc.assert(
      fc.property(fitting(shape), (value) => {
        const copy = structuredClone(value);
        expect(misfit(shape, copy)).toBeNull();
        const parsed = v.safeParse(schema, value);
        if (parsed.success) expect(copy).toEqual(parsed.output);
        else expect(parsed.issues.every(({ kind }) => kind === "validation")).toBe(true);
      }),
      { numRuns: 30, endOnFailure: true },
    );
  });

  test("refuses what the schema refuses, at the same place", () => {
    const other = fc.constantFrom<unknown>(undefined, null, 7, "seven", true, {}, { kind: "job" }, Number.NaN);
    fc.assert(
      fc.property(fitting(shape), fc.nat(), other, (value, at, by) => {
        const broken = damaged(value, at, by);
        const parsed = v.safeParse(schema, structuredClone(broken));
        const place = misfit(shape, broken);
        if (parsed.success) expect(place).toBeNull();
        else if (place === null) expect(parsed.issues.every(({ kind }) => kind === "validation")).toBe(true);
        else expect(place).toBe(v.getDotPath(parsed.issues[0]) ?? "");
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});

test("a list is no map, though the schemas would take it for an empty one", () => {
  expect(misfit({ is: "map", fields: [] }, [])).toBe("");
  expect(misfit({ is: "record", of: { is: "text" } }, [])).toBe("");
});

test("bytes are a whole chunk, never a part of a reply: the rest can be sent as JSON text", () => {
  for (const [, , shape] of replies) {
    if (shape.is !== "bytes") expect(JSON.stringify(shape)).not.toContain('"is":"bytes"');
  }
});
