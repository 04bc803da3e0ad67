/** `KEY=V1,V2,…` as typed; `\,` is a comma in a value. */
import { UsageError } from "../failure.ts";

export interface MatrixKey {
  readonly name: string;
  readonly values: string[];
}

const KEY = /^([A-Za-z_][A-Za-z0-9_]*)=/;

/** The first word is the folder for results when it is no KEY=…. @throws UsageError that names the word */
export function parseMatrixWords(words: readonly string[]): { readonly copyTo: string | undefined; readonly keys: MatrixKey[] } {
  const [first] = words;
  const copyTo = first !== undefined && !KEY.test(first) ? first : undefined;
  const keys = words.slice(copyTo === undefined ? 0 : 1).map(parseKey);
  if (keys.length === 0) throw new UsageError("The matrix has no variables.", "Write at least one KEY=V1,V2,...");
  const names = keys.map((key) => key.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UsageError(`The variable ${twice} stands more than once.`, "Put all its values into one KEY=V1,V2,...");
  return { copyTo, keys };
}

function parseKey(word: string): MatrixKey {
  const match = KEY.exec(word);
  if (match === null) {
    throw new UsageError(
      `${JSON.stringify(word)} is no KEY=V1,V2,...`,
      "A key has letters, digits and _; the folder for results stands before the keys.",
    );
  }
  return { name: match[1] ?? "", values: splitValues(word.slice(match[0].length)) };
}

/** Only `\,` is special: every other backslash stands for itself. */
function splitValues(text: string): string[] {
  return text.split(/(?<!\\),/).map((value) => value.replaceAll("\\,", ","));
}
