/**
 * The small pieces that every TOML file of the store is made of. TOML has no null: what is null is left out.
 * Times are offset date-times with milliseconds, because people read these files.
 */
import * as v from "valibot";

export type TomlScalar = string | number | boolean | Date;
export type TomlValue = TomlScalar | readonly TomlValue[] | TomlTable;
export interface TomlTable {
  readonly [key: string]: TomlValue;
}

export const integer = v.pipe(v.number(), v.safeInteger());
/** Milliseconds since the epoch. */
export const time = v.pipe(
  v.date(),
  v.transform((date) => date.getTime()),
);

/** Not v.record, which drops a variable that is called `constructor`. */
export const textRecord = v.pipe(
  v.custom<Record<string, string>>(isTextRecord, "a table of strings"),
  v.transform((table): Record<string, string> => Object.fromEntries(Object.entries(table))),
);

/** A field that is left out when it is null. */
export function optionalField<Input, Output>(schema: v.GenericSchema<Input, Output>) {
  return v.optional(v.nullable(schema), null);
}

function isTextRecord(input: unknown): boolean {
  return (
    typeof input === "object" && input !== null && !Array.isArray(input) && Object.values(input).every((value) => typeof value === "string")
  );
}

/** @param ms a time of core */
export function toDate(ms: number): Date {
  return new Date(ms);
}

/** A table without the fields that are null. */
export function table(fields: Readonly<Record<string, TomlValue | null>>): TomlTable {
  const present: Record<string, TomlValue> = {};
  for (const key in fields) {
    const value = fields[key];
    if (value !== null && value !== undefined) present[key] = value;
  }
  return present;
}

export function mapNullable<Input, Output>(value: Input | null, convert: (value: Input) => Output): Output | null {
  return value === null ? null : convert(value);
}
