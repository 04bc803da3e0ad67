/** What a variable may be called, as in a placeholder. */
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;

/** No key of an object that anything else reads or writes: it would change what the object is. */
const NOT_A_KEY = "__proto__";

export function isVariableName(text: string): boolean {
  return VARIABLE.test(text) && text !== NOT_A_KEY;
}
