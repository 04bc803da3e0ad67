/** The names that a mistyped one was probably meant to be. */

/** At most three, the nearest first; empty when nothing resembles it. */
export function nearest(word: string, candidates: readonly string[]): string[] {
  const ranked: { readonly name: string; readonly distance: number }[] = [];
  for (const name of candidates) {
    const distance = name.startsWith(word) && word.length > 1 ? 0 : editDistance(word.slice(0, 100), name);
    if (distance <= Math.max(1, Math.floor(name.length / 3))) ranked.push({ name, distance });
  }
  ranked.sort((a, b) => a.distance - b.distance);
  return ranked.slice(0, 3).map((entry) => entry.name);
}

/** Insertions, deletions, replacements and swaps of neighbours, each counting one. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const cost = from[row - 1] === to[column - 1] ? 0 : 1;
      let best = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + cost);
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1);
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}
