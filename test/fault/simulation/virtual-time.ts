/**
 * The time of a simulated world. Nothing waits: the next thing that is due is done at once, and the clock moves to it.
 * What the daemon waits for (its timers, its disk) dies with it; what the world does (machines, people, requests that
 * are already on their way) goes on.
 */
import { drainMicrotasks } from "bun:jsc";

type Side = "daemon" | "world";

interface Alarm {
  readonly at: number;
  /** Ties go by it: the order is the same in every run. */
  readonly order: number;
  readonly side: Side;
  call: (() => void) | null;
}

export class VirtualTime {
  now = 1_700_000_000_000;
  /** Which daemon it is: rises with every one that dies. */
  life = 0;
  private readonly heap: Alarm[] = [];
  private orders = 0;

  after(delayMs: number, side: Side, call: () => void): Alarm {
    const alarm: Alarm = { at: this.now + Math.max(0, delayMs), order: this.orders++, side, call };
    this.heap.push(alarm);
    this.rise(this.heap.length - 1);
    return alarm;
  }

  cancel(alarm: Alarm): void {
    alarm.call = null;
  }

  /** Does the next thing, and all that follows from it without waiting. @returns false when there is none */
  step(): boolean {
    drainMicrotasks();
    for (let alarm = this.pop(); alarm !== undefined; alarm = this.pop()) {
      const { call } = alarm;
      if (call === null) continue;
      this.now = Math.max(this.now, alarm.at);
      alarm.call = null;
      call();
      drainMicrotasks();
      return true;
    }
    return false;
  }

  /** The daemon is gone, and with it all that it waited for. */
  dropDaemon(): void {
    this.life++;
    for (const alarm of this.heap) if (alarm.side === "daemon") alarm.call = null;
  }

  private pop(): Alarm | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first !== undefined && last !== undefined && heap.length > 0) {
      heap[0] = last;
      this.sink();
    }
    return first;
  }

  private rise(start: number): void {
    for (let index = start; index > 0; ) {
      const parent = (index - 1) >> 1;
      if (!this.isBefore(index, parent)) return;
      this.swap(index, parent);
      index = parent;
    }
  }

  private sink(): void {
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      if (left >= this.heap.length) return;
      const child = left + 1 < this.heap.length && this.isBefore(left + 1, left) ? left + 1 : left;
      if (!this.isBefore(child, index)) return;
      this.swap(child, index);
      index = child;
    }
  }

  private isBefore(one: number, other: number): boolean {
    const a = this.heap[one];
    const b = this.heap[other];
    if (a === undefined || b === undefined) return false;
    return a.at === b.at ? a.order < b.order : a.at < b.at;
  }

  private swap(one: number, other: number): void {
    const { heap } = this;
    const a = heap[one];
    const b = heap[other];
    if (a === undefined || b === undefined) return;
    heap[one] = b;
    heap[other] = a;
  }
}
