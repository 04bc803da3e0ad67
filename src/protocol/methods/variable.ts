/** What can be asked about variables. The value of a secret one goes in and never comes out. */
import * as v from "valibot";
import { mutates, reads } from "../method.ts";

export const VALUE_BYTES_MAX = 65_536;
const name = v.pipe(v.string(), v.maxLength(256));

export const variableSchema = v.object({
  name: v.string(),
  /** null for a secret. */
  value: v.nullable(v.string()),
  secret: v.boolean(),
});

export const variableMethods = {
  "variable.set": mutates(v.object({ name, value: v.pipe(v.string(), v.maxBytes(VALUE_BYTES_MAX)), secret: v.boolean() }), v.object({})),
  "variable.list": reads(v.object({}), v.object({ variables: v.array(variableSchema) })),
  /** `missing`: names that were not set; the others are removed all the same. */
  "variable.remove": mutates(v.object({ names: v.pipe(v.array(name), v.maxLength(1_000)) }), v.object({ missing: v.array(v.string()) })),
};
