/** Writes snapshots as the old system did, field by field: for states that its own server cannot be brought to at will. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

export interface WrittenTask {
  readonly jid: number;
  readonly setup?: boolean;
  readonly machine?: string;
  readonly class?: string;
  readonly copyTo?: string;
  readonly variables?: Readonly<Record<string, string>>;
  readonly cmds: readonly string[];
  /** The number of the state's field, and what is in it. */
  readonly state: readonly [field: number, content?: { readonly text?: string; readonly number?: number; readonly at?: number }];
  readonly retry?: boolean;
  readonly failuresMax?: number;
  readonly attempt?: number;
  readonly time?: string;
  readonly ended?: string;
  readonly timeoutMinutes?: number;
  readonly matrix?: number;
  readonly tag?: number;
  readonly cancel?: boolean;
}

export interface WrittenSnapshot {
  readonly machines?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly tasks?: readonly WrittenTask[];
  readonly matrices?: readonly {
    readonly id: number;
    readonly cmd: string;
    readonly class: string;
    readonly keys: Readonly<Record<string, readonly string[]>>;
    readonly jids: readonly number[];
  }[];
  readonly tags?: Readonly<Record<number, readonly number[]>>;
  readonly nextId: number;
}

type Fill = (writer: BinaryWriter) => void;

export function writeOldSnapshot(snapshot: WrittenSnapshot): Uint8Array {
  const file = new BinaryWriter();
  for (const [addr, name] of Object.entries(snapshot.machines ?? {})) {
    entry(
      file,
      1,
      (w) => text(w, 1, addr),
      (w) => text(w, 1, name),
    );
  }
  textMap(file, 2, snapshot.variables ?? {});
  for (const task of snapshot.tasks ?? [])
    entry(
      file,
      3,
      (w) => number(w, 1, task.jid),
      (w) => fillTask(w, task),
    );
  for (const { id, cmd, class: className, keys, jids } of snapshot.matrices ?? []) {
    entry(
      file,
      4,
      (w) => number(w, 1, id),
      (w) => {
        number(w, 1, id);
        text(w, 2, cmd);
        text(w, 3, className);
        for (const [name, values] of Object.entries(keys)) {
          entry(
            w,
            5,
            (key) => text(key, 1, name),
            (value) => {
              for (const one of values) text(value, 1, one);
            },
          );
        }
        for (const jid of jids) number(w, 6, jid);
      },
    );
  }
  number(file, 5, snapshot.nextId);
  for (const [id, jids] of Object.entries(snapshot.tags ?? {})) {
    entry(
      file,
      6,
      (w) => number(w, 1, Number(id)),
      (w) => {
        for (const jid of jids) number(w, 1, jid);
      },
    );
  }
  return file.finish();
}

function fillTask(w: BinaryWriter, task: WrittenTask): void {
  number(w, 1, task.jid);
  number(w, 2, task.setup === true ? 1 : 0);
  optionalText(w, 3, task.machine);
  optionalText(w, 4, task.class);
  optionalText(w, 5, task.copyTo);
  textMap(w, 6, task.variables ?? {});
  for (const cmd of task.cmds) text(w, 7, cmd);
  optionalNumber(w, 8, task.cancel === undefined ? undefined : Number(task.cancel));
  const [field, content = {}] = task.state;
  message(w, 9, (state) =>
    message(state, field, (inside) => {
      optionalText(inside, 1, content.text);
      optionalNumber(inside, content.at ?? 2, content.number);
    }),
  );
  number(w, 10, Number(task.retry ?? false));
  text(w, 11, task.time ?? "2022-10-13T10:25:24.316505881+00:00");
  optionalText(w, 12, task.ended);
  optionalNumber(w, 13, task.matrix);
  optionalNumber(w, 14, task.timeoutMinutes);
  optionalNumber(w, 16, task.failuresMax);
  number(w, 17, task.attempt ?? 0);
  optionalNumber(w, 18, task.tag);
}

function message(w: BinaryWriter, field: number, fill: Fill): void {
  w.tag(field, WireType.LengthDelimited).fork();
  fill(w);
  w.join();
}

function entry(w: BinaryWriter, field: number, key: Fill, value: Fill): void {
  message(w, field, (inside) => {
    key(inside);
    message(inside, 2, value);
  });
}

function textMap(w: BinaryWriter, field: number, map: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(map)) {
    message(w, field, (inside) => {
      text(inside, 1, name);
      text(inside, 2, value);
    });
  }
}

function text(w: BinaryWriter, field: number, value: string): void {
  w.tag(field, WireType.LengthDelimited).string(value);
}

function number(w: BinaryWriter, field: number, value: number): void {
  w.tag(field, WireType.Varint).uint64(value);
}

function optionalText(w: BinaryWriter, field: number, value: string | undefined): void {
  if (value !== undefined) text(w, field, value);
}

function optionalNumber(w: BinaryWriter, field: number, value: number | undefined): void {
  if (value !== undefined) number(w, field, value);
}
