/** Seeded chance, in the words of a storm. */
import { randomFrom } from "../forms.ts";

export class Dice {
  readonly number: () => number;

  constructor(seed: number) {
    this.number = randomFrom(seed);
  }

  /** From 0 to below `end`, whole. */
  below(end: number): number {
    return Math.floor(this.number() * end);
  }

  chance(of: number): boolean {
    return this.number() < of;
  }

  between(low: number, high: number): number {
    return low + this.number() * (high - low);
  }

  /** Short most of the time, long at times. */
  delayMs(low: number, high: number): number {
    return low * (high / low) ** this.number();
  }

  of<Item>(items: readonly [Item, ...Item[]]): Item;
  of<Item>(items: readonly Item[]): Item | undefined;
  of<Item>(items: readonly Item[]): Item | undefined {
    return items[this.below(items.length)];
  }

  /** 16 hexadecimal digits. */
  name(): string {
    return Array.from({ length: 4 }, () => this.below(0x10000).toString(16).padStart(4, "0")).join("");
  }
}
