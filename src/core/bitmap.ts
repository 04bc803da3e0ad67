/** Nodes of the persistent maps: of 32 places those that are taken, with their contents close together in an array. */

export const BITS = 5;
export const MASK = 31;

/** How many bits are set in `bitmap` below `bit`. */
export function position(bitmap: number, bit: number): number {
  let bits = bitmap & (bit - 1);
  bits -= (bits >>> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
