/**
 * One protobuf message as its fields, read strictly: every byte belongs to a field, a field has one wire type, text
 * is UTF-8, and numbers are ids or counts that a JavaScript number holds. Fields that nobody asks for are passed over.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** The bytes are not what they should be. */
export class BadSnapshot extends Error {
  override readonly name = "BadSnapshot";
}

type Value = number | Uint8Array;

export class Message {
  private constructor(
    /** What it is, for errors. */
    readonly what: string,
    private readonly fields: ReadonlyMap<number, readonly Value[]>,
  ) {}

  /** @throws BadSnapshot */
  static read(bytes: Uint8Array, what: string): Message {
    const fields = new Map<number, Value[]>();
    const reader = new BinaryReader(bytes);
    try {
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag();
        const value = readValue(reader, number, wireType);
        if (value === null) continue;
        const known = fields.get(number);
        if (known === undefined) fields.set(number, [value]);
        else known.push(value);
      }
    } catch (error) {
      if (!(error instanceof Error) || error instanceof BadSnapshot) throw error;
      throw new BadSnapshot(`${what}: ${error.message}`);
    }
    return new Message(what, fields);
  }

  number(field: number): number | null {
    const value = this.last(field);
    if (value === null) return null;
    if (typeof value !== "number") throw this.bad(field, "not a number");
    return value;
  }

  requiredNumber(field: number): number {
    return this.required(field, this.number(field));
  }

  /** Packed or one by one: both spellings mean the same. */
  numbers(field: number): readonly number[] {
    const values: number[] = [];
    for (const value of this.fields.get(field) ?? []) {
      if (typeof value === "number") {
        values.push(value);
        continue;
      }
      const reader = new BinaryReader(value);
      while (reader.pos < reader.len) values.push(varint(reader));
      if (reader.pos !== reader.len) throw this.bad(field, "cut");
    }
    return values;
  }

  text(field: number): string | null {
    const value = this.last(field);
    return value === null ? null : this.decoded(field, value);
  }

  requiredText(field: number): string {
    return this.required(field, this.text(field));
  }

  texts(field: number): readonly string[] {
    return (this.fields.get(field) ?? []).map((value) => this.decoded(field, value));
  }

  message(field: number, what: string): Message | null {
    const value = this.last(field);
    return value === null ? null : this.inside(field, value, what);
  }

  messages(field: number, what: string): readonly Message[] {
    return (this.fields.get(field) ?? []).map((value) => this.inside(field, value, what));
  }

  /** The numbers of the fields that are there. */
  present(): readonly number[] {
    return [...this.fields.keys()];
  }

  required<T>(field: number, value: T | null): T {
    if (value === null) throw this.bad(field, "missing");
    return value;
  }

  bad(field: number, reason: string): BadSnapshot {
    return new BadSnapshot(`${this.what}: field ${field}: ${reason}`);
  }

  private last(field: number): Value | null {
    const values = this.fields.get(field);
    return values?.[values.length - 1] ?? null;
  }

  private decoded(field: number, value: Value): string {
    if (typeof value === "number") throw this.bad(field, "not a text");
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
    } catch {
      throw this.bad(field, "not UTF-8");
    }
  }

  private inside(field: number, value: Value, what: string): Message {
    if (typeof value === "number") throw this.bad(field, "not a message");
    return Message.read(value, what);
  }
}

function readValue(reader: BinaryReader, field: number, wireType: WireType): Value | null {
  switch (wireType) {
    case WireType.Varint:
      return varint(reader);
    case WireType.LengthDelimited:
      return reader.bytes();
    case WireType.Bit32:
    case WireType.Bit64:
      reader.skip(wireType, field);
      return null;
    case WireType.StartGroup:
    case WireType.EndGroup:
      throw new BadSnapshot(`field ${field}: a group, which the old system never wrote`);
  }
}

function varint(reader: BinaryReader): number {
  const value = Number(reader.uint64());
  if (!Number.isSafeInteger(value)) throw new BadSnapshot("a number is beyond every id and count");
  return value;
}
