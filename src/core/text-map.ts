/**
 * A persistent map with text keys, a hash array mapped trie (Bagwell, 2001): an entry stands in the first branch in which
 * nothing else has its place, so that 100,000 of them need some 32,000 branches. docs/adr/0002 has the choice
 * against libraries.
 */
import { BITS, MASK, position } from "./bitmap.ts";

interface Entry<V> {
  readonly key: string;
  readonly value: V;
}

interface Branch<V> {
  /** Which places are taken; of the lowest branches, where the hash is used up, it says nothing. */
  readonly bitmap: number;
  /** In the order of the bits set. */
  readonly slots: readonly Slot<V>[];
}

type Slot<V> = Entry<V> | Branch<V>;

/** Of a hash of 32 bits so many branches take five each, the last of them two. Below stand those whose hashes are equal. */
const DEPTH_MAX = 7;
const EMPTY: Branch<never> = { bitmap: 0, slots: [] };

/** Iteration is in the order of the keys' hashes: sort before showing. A value is never `undefined`. */
export class TextMap<V> implements Iterable<readonly [string, V]> {
  private static readonly none = new TextMap<never>(EMPTY, 0);

  private constructor(
    private readonly root: Branch<V>,
    readonly size: number,
  ) {}

  static empty<V>(): TextMap<V> {
    return TextMap.none;
  }

  /** Of a key that comes twice the last value counts. */
  static from<V>(entries: Iterable<readonly [string, V]>): TextMap<V> {
    const values = new Map(entries);
    const hashed = Array.from(values, ([key, value]) => ({ rest: hash(key), entry: { key, value } }));
    return new TextMap(branchOf(hashed, 0), values.size);
  }

  get(key: string): V | undefined {
    let { bitmap, slots } = this.root;
    for (let depth = 0, rest = hash(key); depth < DEPTH_MAX; depth++, rest >>>= BITS) {
      const bit = 1 << (rest & MASK);
      if ((bitmap & bit) === 0) return undefined;
      const slot = slots[position(bitmap, bit)] as Slot<V>;
      if (!isBranch(slot)) return slot.key === key ? slot.value : undefined;
      ({ bitmap, slots } = slot);
    }
    return (slots as readonly Entry<V>[]).find((entry) => entry.key === key)?.value;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  set(key: string, value: V): TextMap<V> {
    const root = inserted(this.root, { rest: hash(key), entry: { key, value } }, 0);
    return new TextMap(root, this.size + (this.has(key) ? 0 : 1));
  }

  delete(key: string): TextMap<V> {
    if (!this.has(key)) return this;
    const root = removed(this.root, key, { rest: hash(key), depth: 0 });
    return new TextMap(root as Branch<V>, this.size - 1);
  }

  *[Symbol.iterator](): Generator<readonly [string, V]> {
    for (const { key, value } of this.entries()) yield [key, value];
  }

  *keys(): Generator<string> {
    for (const { key } of this.entries()) yield key;
  }

  *values(): Generator<V> {
    for (const { value } of this.entries()) yield value;
  }

  private *entries(): Generator<Entry<V>> {
    const left: Slot<V>[] = [this.root];
    for (let slot = left.pop(); slot !== undefined; slot = left.pop()) {
      if (isBranch(slot)) left.push(...slot.slots.toReversed());
      else yield slot;
    }
  }
}

/** An entry and what of its hash is not used up on the way to where it is to stand. */
interface HashedEntry<V> {
  readonly rest: number;
  readonly entry: Entry<V>;
}

function isBranch<V>(slot: Slot<V>): slot is Branch<V> {
  return "slots" in slot;
}

/** @param entries with different keys */
function branchOf<V>(entries: readonly HashedEntry<V>[], depth: number): Branch<V> {
  if (depth === DEPTH_MAX) return { bitmap: 0, slots: entries.map(({ entry }) => entry) };
  const places: HashedEntry<V>[][] = [];
  for (const { rest, entry } of entries) {
    const place = places[rest & MASK];
    const below = { rest: rest >>> BITS, entry };
    if (place === undefined) places[rest & MASK] = [below];
    else place.push(below);
  }
  let bitmap = 0;
  const slots: Slot<V>[] = [];
  // Holes are passed over.
  places.forEach((place, digit) => {
    bitmap |= 1 << digit;
    const [first] = place;
    slots.push(first !== undefined && place.length === 1 ? first.entry : branchOf(place, depth + 1));
  });
  return { bitmap, slots };
}

function inserted<V>(branch: Branch<V>, added: HashedEntry<V>, depth: number): Branch<V> {
  const { bitmap, slots } = branch;
  const { rest, entry } = added;
  if (depth === DEPTH_MAX) return { bitmap, slots: [...slots.filter((slot) => (slot as Entry<V>).key !== entry.key), entry] };
  const bit = 1 << (rest & MASK);
  const at = position(bitmap, bit);
  if ((bitmap & bit) === 0) return { bitmap: bitmap | bit, slots: slots.toSpliced(at, 0, entry) };
  const there = slots[at] as Slot<V>;
  const below = { rest: rest >>> BITS, entry };
  if (isBranch(there)) return { bitmap, slots: slots.with(at, inserted(there, below, depth + 1)) };
  if (there.key === entry.key) return { bitmap, slots: slots.with(at, entry) };
  const other = { rest: hash(there.key) >>> ((depth + 1) * BITS), entry: there };
  return { bitmap, slots: slots.with(at, branchOf([other, below], depth + 1)) };
}

/** What stands in the place of the branch without the key, which is there: an entry that is alone needs no branch, except the root. */
function removed<V>(branch: Branch<V>, key: string, place: { readonly rest: number; readonly depth: number }): Slot<V> {
  const { rest, depth } = place;
  const bit = depth === DEPTH_MAX ? 0 : 1 << (rest & MASK);
  const at = bit === 0 ? branch.slots.findIndex((slot) => (slot as Entry<V>).key === key) : position(branch.bitmap, bit);
  const there = branch.slots[at] as Slot<V>;
  const isGone = !isBranch(there);
  const slots = isGone
    ? branch.slots.toSpliced(at, 1)
    : branch.slots.with(at, removed(there, key, { rest: rest >>> BITS, depth: depth + 1 }));
  const [first] = slots;
  if (depth > 0 && slots.length === 1 && first !== undefined && !isBranch(first)) return first;
  return { bitmap: isGone ? branch.bitmap & ~bit : branch.bitmap, slots };
}

function hash(text: string): number {
  return Bun.hash.crc32(text);
}
