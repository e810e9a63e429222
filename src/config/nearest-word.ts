/** Guesses which known word an unknown one was meant to be. */

/** Shorter beginnings of a word say nothing. */
const abbreviationLengthMin = 3;

/**
 * The known word closest to `written`, or the only one that begins so; `undefined` when none is close enough to be
 * worth a question.
 */
export function nearestWord(written: string, known: readonly string[]): string | undefined {
  const folded = fold(written);
  const longer = known.filter((word) => fold(word).startsWith(folded));
  if (longer.length === 1 && folded.length >= abbreviationLengthMin) return longer[0];
  const distanceMax = Math.min(3, Math.floor(folded.length / 3));
  let nearest: string | undefined;
  let nearestDistance = distanceMax + 1;
  for (const word of known) {
    if (Math.abs(word.length - folded.length) >= nearestDistance) continue;
    const distance = editDistance(folded, fold(word));
    if (distance < nearestDistance) {
      nearest = word;
      nearestDistance = distance;
    }
  }
  return nearest;
}

/** Ignores case and hyphens, which a reader does not see as a difference. */
function fold(word: string): string {
  return word.toLowerCase().replaceAll('-', '_');
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that turn one word into the other (the
 * Damerau-Levenshtein distance in its "optimal string alignment" form).
 */
export function editDistance(from: string, to: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let distance = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (same ? 0 : 1),
      );
      const swapped =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (swapped) distance = Math.min(distance, beforePrevious[column - 2]! + 1);
      current.push(distance);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[to.length]!;
}
