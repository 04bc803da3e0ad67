/** What a variable may be called, as in a placeholder. */
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;

export function isVariableName(text: string): boolean {
  return VARIABLE.test(text);
}
