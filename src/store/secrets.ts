/**
 * The values of secret variables: `secrets.toml`, 0600, and nowhere else. A value is on stable storage
 * before the event that names its variable, and goes after the event that removes it; what a crash leaves
 * between the two is a value without a name, removed at the next start.
 */
import { existsSync, readFileSync } from "node:fs";
import { parse, stringify } from "smol-toml";
import * as v from "valibot";
import { replaceDurably } from "./durable-file.ts";
import { textRecord } from "./snapshot/scalar-codec.ts";
import { asStoreError, StoreError } from "./store-error.ts";

const FORMAT = 1;
const HEADER = "# Values of secret variables of expjobserver. Keep this file to yourself, and out of version control.\n";

const fileSchema = v.strictObject({ format: v.number(), secrets: textRecord });

export class Secrets {
  private values: ReadonlyMap<string, string>;
  private writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly file: string,
    values: ReadonlyMap<string, string>,
  ) {
    this.values = values;
  }

  static open(file: string): Secrets {
    return new Secrets(file, existsSync(file) ? readValues(file) : new Map());
  }

  get(name: string): string | undefined {
    return this.values.get(name);
  }

  names(): readonly string[] {
    return [...this.values.keys()];
  }

  /** Resolves when the value is on stable storage; only then may an event name it. After a failure the old value holds. */
  set(name: string, value: string): Promise<void> {
    return this.change((values) => values.set(name, value));
  }

  /** To be called after the event that removes the variables is durable. */
  remove(names: Iterable<string>): Promise<void> {
    return this.change((values) => {
      for (const name of names) values.delete(name);
    });
  }

  private change(edit: (values: Map<string, string>) => void): Promise<void> {
    const change = this.writing.then(async () => {
      const next = new Map(this.values);
      edit(next);
      const secrets = Object.fromEntries([...next].sort(([a], [b]) => (a < b ? -1 : 1)));
      await replaceDurably(this.file, `${HEADER}${stringify({ format: FORMAT, secrets })}`);
      this.values = next;
    });
    // A failed change is reported to its caller; the next one starts from what holds.
    this.writing = change.catch(() => undefined);
    return change;
  }
}

function readValues(file: string): ReadonlyMap<string, string> {
  let document: unknown;
  try {
    document = parse(readFileSync(file, "utf8"));
  } catch (error) {
    // The parser quotes the line it stumbles on: it must not travel with the error.
    if (error instanceof Error && "code" in error) throw asStoreError(error, file);
    throw new StoreError("damaged", { file, offset: 0, reason: "not TOML" });
  }
  const format = v.safeParse(v.object({ format: v.number() }), document);
  if (format.success && format.output.format > FORMAT) throw new StoreError("newer-format", { file, format: format.output.format });
  const content = v.safeParse(fileSchema, document);
  if (!content.success) throw new StoreError("damaged", { file, offset: 0, reason: "not a secrets file" });
  return new Map(Object.entries(content.output.secrets));
}
