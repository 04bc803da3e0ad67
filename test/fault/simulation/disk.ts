/**
 * A disk that forgets. Every file and folder has what programs see (the page cache) and what is on the disk, and a list
 * of the changes between the two, which a sync empties.
 *
 * At a power cut, what was not synced is kept, dropped or torn, each change by itself:
 * - a write: all of it, none, some of its sectors of 512 bytes, or its length without its content (zeros), which is what
 *   delayed allocation leaves;
 * - a truncation: it happened or not;
 * - a name made, removed or moved: in half of the worlds a prefix of all such changes on the disk happened (one journal of
 *   metadata, as ext4 has it), in the others any of them (all that POSIX promises). A rename is never half done.
 * What fsync of a folder promises is its names; fsync of a file promises its content and not its name.
 *
 * A kill leaves all that programs see. A sync that fails drops what it was to write, or some of it, and later syncs of the
 * file say nothing of it: the pages count as clean (as on Linux). Programs still see the content until the power goes. A sync
 * that finds no room drops what was written likewise; to cut a file needs no room.
 */
import { constants } from "node:fs";
import { dirname } from "node:path";
import type { Dice } from "./dice.ts";

const SECTOR = 512;

type FileChange =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly length: number };

/** A file's bytes: grows in steps. */
class Content {
  private buffer = Buffer.alloc(0);
  length = 0;

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    this.reserve(end);
    this.buffer.set(bytes, offset);
    this.length = Math.max(this.length, end);
  }

  truncate(length: number): void {
    this.reserve(length);
    this.buffer.fill(0, Math.min(length, this.length), Math.max(length, this.length));
    this.length = length;
  }

  bytes(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length));
  }

  private reserve(end: number): void {
    if (end <= this.buffer.length) return;
    const larger = Buffer.alloc(Math.max(end, this.buffer.length * 2, 1_024));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
}

class File {
  readonly kind = "file";
  readonly seen = new Content();
  durable = new Content();
  changes: FileChange[] = [];
  mode = 0o600;

  change(change: FileChange): void {
    changed(this.seen, change);
    this.changes.push(change);
  }
}

interface NameChange {
  readonly order: number;
  readonly set: readonly (readonly [name: string, node: Node])[];
  /** Removed only where it is still this node. */
  readonly gone: readonly (readonly [name: string, node: Node])[];
}

class Folder {
  readonly kind = "folder";
  seen = new Map<string, Node>();
  durable = new Map<string, Node>();
  changes: NameChange[] = [];
  mode = 0o700;
}

type Node = File | Folder;

interface OpenFile {
  readonly node: Node;
  readonly path: string;
}

/** The moment of a crash has come: nothing that the daemon still does has any effect. */
export class Frozen extends Error {
  override readonly name = "Frozen";
}

export class SimulatedDisk {
  /** Writes fail for want of space. */
  full = false;
  /** The chance of an input/output error. */
  failing = 0;
  /** Calls that failed so far because it was full or failing. */
  faults = 0;
  /** The next sync of a file fails, and with it the daemon's life. */
  syncFails = false;
  /** The daemon is dead, at this very call. */
  frozen = false;
  /** Calls until it is; null: not now. */
  callsLeft: number | null = null;
  private readonly root = new Folder();
  /** `/sim`, which was there before. */
  private readonly home = new Folder();
  private readonly open = new Map<number, OpenFile>();
  private nextDescriptor = 100;
  private orders = 0;
  private readonly oneJournal: boolean;

  constructor(private readonly dice: Dice) {
    this.oneJournal = dice.chance(0.5);
    for (const names of [this.root.seen, this.root.durable]) names.set("sim", this.home);
  }

  /** One call of the system. */
  tick(): void {
    if (this.frozen) throw new Frozen();
    if (this.callsLeft === null || --this.callsLeft > 0) return;
    this.frozen = true;
    throw new Frozen();
  }

  // ---- names

  openFile(path: string, flags: number, mode = 0o666): number {
    let node = this.find(path);
    if ((flags & constants.O_CREAT) !== 0) {
      if (node !== undefined && (flags & constants.O_EXCL) !== 0) throw systemError("EEXIST", path);
      if (node === undefined) {
        this.requireSpace(path);
        node = new File();
        node.mode = mode;
        this.rename(path, { set: node });
      }
    }
    if (node === undefined) throw systemError("ENOENT", path);
    if ((flags & constants.O_DIRECTORY) !== 0 && node.kind !== "folder") throw systemError("ENOTDIR", path);
    const descriptor = this.nextDescriptor++;
    this.open.set(descriptor, { node, path });
    return descriptor;
  }

  close(descriptor: number): void {
    if (!this.open.delete(descriptor)) throw systemError("EBADF", String(descriptor));
  }

  makeFolder(path: string): boolean {
    if (this.find(path) !== undefined) return false;
    this.requireSpace(path);
    this.rename(path, { set: new Folder() });
    return true;
  }

  move(from: string, to: string): void {
    const node = this.find(from);
    if (node === undefined) throw systemError("ENOENT", from);
    if (dirname(from) !== dirname(to)) throw new Error("the model moves within a folder only");
    const folder = this.folderOf(from);
    this.changeNames(folder, { set: [[nameOf(to), node]], gone: [[nameOf(from), node]] });
  }

  remove(path: string): void {
    const node = this.find(path);
    if (node === undefined) throw systemError("ENOENT", path);
    this.changeNames(this.folderOf(path), { set: [], gone: [[nameOf(path), node]] });
  }

  list(path: string): string[] {
    const node = this.find(path);
    if (node === undefined) throw systemError("ENOENT", path);
    if (node.kind !== "folder") throw systemError("ENOTDIR", path);
    return [...node.seen.keys()];
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const name of path.split("/")) {
      if (name === "") continue;
      node = node?.kind === "folder" ? node.seen.get(name) : undefined;
    }
    return node;
  }

  // ---- content

  read(path: string): Buffer {
    const node = this.find(path);
    if (node === undefined) throw systemError("ENOENT", path);
    if (node.kind !== "file") throw systemError("EISDIR", path);
    return node.seen.bytes();
  }

  readAt(descriptor: number, target: Uint8Array, offset: number, position: number): number {
    const { node, path } = this.opened(descriptor);
    if (node.kind !== "file") throw systemError("EISDIR", path);
    const part = node.seen.bytes().subarray(position, position + target.length - offset);
    target.set(part, offset);
    return part.length;
  }

  /** @returns how much was taken: less than all before the disk is full, and at times for no reason at all */
  write(descriptor: number, bytes: Uint8Array, position: number | null): number {
    const { node, path } = this.opened(descriptor);
    if (node.kind !== "file") throw systemError("EISDIR", path);
    if (this.failing > 0 && this.dice.chance(this.failing)) throw this.fault("EIO", path);
    if (this.full && this.dice.chance(0.5)) throw this.fault("ENOSPC", path);
    const taken = bytes.length > 1 && this.dice.chance(this.full ? 0.5 : 0.02) ? 1 + this.dice.below(bytes.length - 1) : bytes.length;
    node.change({ kind: "write", offset: position ?? node.seen.length, bytes: Uint8Array.from(bytes.subarray(0, taken)) });
    return taken;
  }

  truncate(descriptor: number, length: number): void {
    const { node, path } = this.opened(descriptor);
    if (node.kind !== "file") throw systemError("EINVAL", path);
    if (this.failing > 0 && this.dice.chance(this.failing / 2)) throw this.fault("EIO", path);
    node.change({ kind: "truncate", length });
  }

  setMode(path: string | number, mode: number): void {
    const node = typeof path === "number" ? this.opened(path).node : this.find(path);
    if (node === undefined) throw systemError("ENOENT", String(path));
    node.mode = mode;
  }

  /** Begins a sync: what is to be written is what there is now. @returns the end of it */
  sync(descriptor: number): () => void {
    const { node, path } = this.opened(descriptor);
    const changes = node.changes.length;
    return () => {
      if (node.kind === "file" && this.full && this.dice.chance(0.1) && withoutRoom(node, changes)) throw this.fault("ENOSPC", path);
      if (node.kind === "file" && this.syncFails) {
        this.syncFails = false;
        node.changes.splice(0, changes);
        this.frozen = true;
      }
      const fails = this.frozen || (this.failing > 0 && this.dice.chance(this.failing));
      if (node.kind === "folder") {
        // A file system that cannot write its names says so and goes on having them to write.
        if (fails) throw this.fault("EIO", path);
        for (const change of node.changes.splice(0, changes)) renamed(node.durable, change);
        return;
      }
      for (const change of node.changes.splice(0, changes)) {
        if (!fails || this.dice.chance(0.5)) changed(node.durable, change);
      }
      if (fails) throw this.fault("EIO", path);
    };
  }

  // ---- crashes

  /** The daemon died: what it had open is closed, the rest is as it was seen. */
  afterKill(): void {
    this.frozen = false;
    this.callsLeft = null;
    this.open.clear();
  }

  afterPowerCut(): void {
    this.afterKill();
    const untilOrder = this.oneJournal ? this.dice.below(this.orders + 1) : null;
    this.cut(this.root, untilOrder);
  }

  private cut(folder: Folder, untilOrder: number | null): void {
    for (const change of folder.changes) {
      if (untilOrder === null ? this.dice.chance(0.5) : change.order < untilOrder) renamed(folder.durable, change);
    }
    folder.changes = [];
    folder.seen = new Map(folder.durable);
    for (const node of folder.seen.values()) {
      if (node.kind === "folder") this.cut(node, untilOrder);
      else this.cutFile(node);
    }
  }

  private cutFile(file: File): void {
    for (const change of file.changes) this.tear(file.durable, change);
    file.changes = [];
    file.seen.truncate(0);
    file.seen.write(0, file.durable.bytes());
  }

  private tear(content: Content, change: FileChange): void {
    const fate = this.dice.below(10);
    if (fate < 4) changed(content, change);
    if (fate < 6 || change.kind === "truncate") return;
    const end = change.offset + change.bytes.length;
    if (fate === 6 && end > content.length) content.truncate(end);
    if (fate < 7) return;
    for (let at = change.offset; at < end; ) {
      const next = Math.min(end, (Math.floor(at / SECTOR) + 1) * SECTOR);
      if (this.dice.chance(0.5)) content.write(at, change.bytes.subarray(at - change.offset, next - change.offset));
      at = next;
    }
  }

  // ---- inside

  private fault(code: "EIO" | "ENOSPC", path: string): Error {
    this.faults += 1;
    return systemError(code, path);
  }

  private rename(path: string, { set }: { readonly set: Node }): void {
    this.changeNames(this.folderOf(path), { set: [[nameOf(path), set]], gone: [] });
  }

  private changeNames(folder: Folder, names: Pick<NameChange, "set" | "gone">): void {
    const change = { order: this.orders++, ...names };
    renamed(folder.seen, change);
    folder.changes.push(change);
  }

  private folderOf(path: string): Folder {
    const folder = this.find(dirname(path));
    if (folder?.kind !== "folder") throw systemError("ENOENT", path);
    return folder;
  }

  private opened(descriptor: number): OpenFile {
    const opened = this.open.get(descriptor);
    if (opened === undefined) throw systemError("EBADF", String(descriptor));
    return opened;
  }

  private requireSpace(path: string): void {
    if (this.full && this.dice.chance(0.5)) throw this.fault("ENOSPC", path);
    if (this.failing > 0 && this.dice.chance(this.failing / 2)) throw this.fault("EIO", path);
  }
}

function changed(content: Content, change: FileChange): void {
  if (change.kind === "write") content.write(change.offset, change.bytes);
  else content.truncate(change.length);
}

/** No room was found for what was written; what a truncation took away again needs none. @returns whether there was any */
function withoutRoom(file: File, count: number): boolean {
  const changes = file.changes.splice(0, count);
  const cut = Math.min(...changes.map((change) => (change.kind === "truncate" ? change.length : Number.POSITIVE_INFINITY)));
  const isCut = (change: FileChange): boolean => change.kind === "truncate" || change.offset >= cut;
  file.changes.unshift(...changes.filter((change) => change.kind === "truncate"));
  return !changes.every(isCut);
}

function renamed(names: Map<string, Node>, { set, gone }: NameChange): void {
  for (const [name, node] of gone) if (names.get(name) === node) names.delete(name);
  for (const [name, node] of set) names.set(name, node);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
