/** Takes the place of node:crypto below the store: random bytes that the seed decides. */
import { stage } from "./stage.ts";

export function randomBytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => stage.dice.below(256)));
}
