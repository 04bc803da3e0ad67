/**
 * Persistent (immutable, structure-sharing) maps for the state: the pending and the durable state differ
 * by a few entries of hundreds of thousands, and a plain Map would be copied whole at every event.
 * This one is a bitmap-compressed radix trie on non-negative integers below 2^30, in ascending order; text-map.ts is
 * for texts. docs/adr/0002 has the choice against libraries.
 */
import { BITS, MASK, position } from "./bitmap.ts";

interface Node<V> {
  readonly bitmap: number;
  /** Values at level 0, child nodes above; in the order of the bits set. */
  readonly slots: readonly (Node<V> | V)[];
}

export class IntMap<V> implements Iterable<readonly [number, V]> {
  private static readonly none = new IntMap<never>({ bitmap: 0, slots: [] }, 0, 0);

  private constructor(
    private readonly root: Node<V>,
    /** Levels above the leaves: keys below 2^(5 * (height + 1)) fit. */
    private readonly height: number,
    readonly size: number,
  ) {}

  static empty<V>(): IntMap<V> {
    return IntMap.none;
  }

  static from<V>(entries: Iterable<readonly [number, V]>): IntMap<V> {
    let map = IntMap.empty<V>();
    for (const [key, value] of entries) map = map.set(key, value);
    return map;
  }

  get(key: number): V | undefined {
    if (key < 0 || key >= capacity(this.height)) return undefined;
    let node = this.root;
    for (let level = this.height; ; level--) {
      const bit = 1 << ((key >>> (level * BITS)) & MASK);
      if ((node.bitmap & bit) === 0) return undefined;
      const slot = node.slots[position(node.bitmap, bit)];
      if (level === 0) return slot as V;
      node = slot as Node<V>;
    }
  }

  has(key: number): boolean {
    return this.get(key) !== undefined;
  }

  set(key: number, value: V): IntMap<V> {
    let { root, height } = this;
    while (key >= capacity(height)) {
      root = root.bitmap === 0 ? root : { bitmap: 1, slots: [root] };
      height++;
    }
    const grew = this.has(key) ? 0 : 1;
    return new IntMap(inserted(root, height, key, value), height, this.size + grew);
  }

  /** Sets many entries, keys ascending and each once: a node is copied once, not for each of its entries. */
  setAll(entries: readonly (readonly [number, V])[]): IntMap<V> {
    const last = entries[entries.length - 1];
    if (last === undefined) return this;
    let { root, height } = this;
    while (last[0] >= capacity(height)) {
      root = root.bitmap === 0 ? root : { bitmap: 1, slots: [root] };
      height++;
    }
    const grew = entries.reduce((count, [key]) => (this.has(key) ? count : count + 1), 0);
    return new IntMap(insertedAll(root, height, entries, { start: 0, end: entries.length }), height, this.size + grew);
  }

  delete(key: number): IntMap<V> {
    if (!this.has(key)) return this;
    if (this.size === 1) return IntMap.empty();
    const root = removed(this.root, this.height, key);
    return new IntMap(root ?? { bitmap: 0, slots: [] }, this.height, this.size - 1);
  }

  /** The entry with the lowest key at or above `from`. */
  first(from = 0): readonly [number, V] | undefined {
    const place = leafFrom(this.root, this.height, 0, from);
    return place === null ? undefined : entryAt(place, bitsFrom(place.leaf.bitmap, from - place.base));
  }

  /** The highest key, or -1. */
  lastKey(): number {
    if (this.size === 0) return -1;
    let node = this.root;
    let key = 0;
    for (let level = this.height; ; level--) {
      const digit = 31 - Math.clz32(node.bitmap);
      key += digit * 2 ** (level * BITS);
      if (level === 0) return key;
      node = node.slots[node.slots.length - 1] as Node<V>;
    }
  }

  /** Entries in ascending order of their keys. */
  entriesFrom(from: number): IterableIterator<readonly [number, V]> {
    return new Walk(this.root, this.height, from, (key, value) => [key, value]);
  }

  [Symbol.iterator](): IterableIterator<readonly [number, V]> {
    return this.entriesFrom(0);
  }

  keys(): IterableIterator<number> {
    return new Walk(this.root, this.height, 0, (key) => key);
  }

  values(): IterableIterator<V> {
    return new Walk(this.root, this.height, 0, (_, value) => value);
  }
}

function capacity(height: number): number {
  return 2 ** ((height + 1) * BITS);
}

function inserted<V>(node: Node<V>, level: number, key: number, value: V): Node<V> {
  const bit = 1 << ((key >>> (level * BITS)) & MASK);
  const at = position(node.bitmap, bit);
  const present = (node.bitmap & bit) !== 0;
  const below = present && level > 0 ? (node.slots[at] as Node<V>) : { bitmap: 0, slots: [] };
  const slot = level === 0 ? value : inserted(below, level - 1, key, value);
  // The two common cases, a change and an append, without moving what stands behind.
  const slots = node.slots.slice();
  if (present) slots[at] = slot;
  else if (at === slots.length) slots.push(slot);
  else slots.splice(at, 0, slot);
  return { bitmap: node.bitmap | bit, slots };
}

/** @param part which of the entries belong under this node */
function insertedAll<V>(
  node: Node<V>,
  level: number,
  entries: readonly (readonly [number, V])[],
  part: { readonly start: number; readonly end: number },
): Node<V> {
  const slots: (Node<V> | V)[] = [];
  let bitmap = 0;
  let old = 0;
  let next = part.start;
  for (let digit = 0; digit < 32; digit++) {
    const bit = 1 << digit;
    const present = (node.bitmap & bit) !== 0;
    const slot = present ? node.slots[old++] : undefined;
    const start = next;
    while (next < part.end && digitAt(entries[next], level) === digit) next++;
    if (!present && start === next) continue;
    bitmap |= bit;
    if (start === next) slots.push(slot as Node<V> | V);
    else if (level === 0) slots.push(entries[start]?.[1] as V);
    else slots.push(insertedAll(present ? (slot as Node<V>) : { bitmap: 0, slots: [] }, level - 1, entries, { start, end: next }));
  }
  return { bitmap, slots };
}

function digitAt(entry: readonly [number, unknown] | undefined, level: number): number {
  return entry === undefined ? -1 : (entry[0] >>> (level * BITS)) & MASK;
}

function removed<V>(node: Node<V>, level: number, key: number): Node<V> | null {
  const bit = 1 << ((key >>> (level * BITS)) & MASK);
  const at = position(node.bitmap, bit);
  const child = level === 0 ? null : removed(node.slots[at] as Node<V>, level - 1, key);
  const slots = node.slots.slice();
  if (child !== null) {
    slots[at] = child;
    return { bitmap: node.bitmap, slots };
  }
  if (slots.length === 1) return null;
  slots.splice(at, 1);
  return { bitmap: node.bitmap & ~bit, slots };
}

interface Place<V> {
  readonly leaf: Node<V>;
  /** The key of its first bit. */
  readonly base: number;
}

/** The first leaf with a key at or above `from`. */
function leafFrom<V>(node: Node<V>, level: number, base: number, from: number): Place<V> | null {
  if (level === 0) return bitsFrom(node.bitmap, from - base) === 0 ? null : { leaf: node, base };
  const span = 2 ** (level * BITS);
  for (let bits = bitsFrom(node.bitmap, Math.floor((from - base) / span)); bits !== 0; bits &= bits - 1) {
    const bit = bits & -bits;
    const below = node.slots[position(node.bitmap, bit)] as Node<V>;
    const found = leafFrom(below, level - 1, base + digitOf(bit) * span, from);
    if (found !== null) return found;
  }
  return null;
}

/** Those of the bits that stand for `digit` and above. */
function bitsFrom(bitmap: number, digit: number): number {
  if (digit <= 0) return bitmap;
  return digit > MASK ? 0 : bitmap & (-1 << digit);
}

function digitOf(bit: number): number {
  return 31 - Math.clz32(bit);
}

/** The entry of the lowest of `bits`, which are some of the leaf's and not none. */
function entryAt<V>({ leaf, base }: Place<V>, bits: number): readonly [number, V] {
  const bit = bits & -bits;
  return [base + digitOf(bit), leaf.slots[position(leaf.bitmap, bit)] as V];
}

/** Entries in ascending order, leaf by leaf. No generator: those of a trie hand each entry through every level. */
class Walk<V, Item> implements IterableIterator<Item> {
  private place: Place<V> | null;
  /** Of the leaf, those that are still to come. */
  private bits: number;

  constructor(
    private readonly root: Node<V>,
    private readonly height: number,
    from: number,
    private readonly item: (key: number, value: V) => Item,
  ) {
    this.place = leafFrom(root, height, 0, from);
    this.bits = this.place === null ? 0 : bitsFrom(this.place.leaf.bitmap, from - this.place.base);
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Item> {
    if (this.bits === 0 && this.place !== null) {
      this.place = leafFrom(this.root, this.height, 0, this.place.base + MASK + 1);
      this.bits = this.place?.leaf.bitmap ?? 0;
    }
    if (this.place === null) return { done: true, value: undefined };
    const { leaf, base } = this.place;
    const bit = this.bits & -this.bits;
    this.bits &= this.bits - 1;
    return { done: false, value: this.item(base + digitOf(bit), leaf.slots[position(leaf.bitmap, bit)] as V) };
  }
}
