/** What the completion scripts of all shells have in common. */

export interface ScriptParts {
  /** The name that is completed: `[A-Za-z0-9_][A-Za-z0-9_.+-]*`. */
  readonly name: string;
  /** What is called at a TAB: the executable, and its first words. */
  readonly program: readonly string[];
}

export function functionName(name: string): string {
  return `_expjobserver_complete_${name.replace(/[^A-Za-z0-9]/g, "_")}`;
}
