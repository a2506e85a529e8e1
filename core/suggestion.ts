/** What to say behind a word that is unknown: the known one that was meant, else all of them; begins with a semicolon. */
export function suggestion(word: string, known: readonly string[]): string {
  const meant = closestOf(word, known);
  if (meant !== undefined) return `; did you mean ${meant}?`;
  return known.length > 0 ? `; expected one of ${known.join(', ')}` : '';
}

/** The one of the known words that was probably meant. */
export function closestOf(word: string, known: readonly string[]): string | undefined {
  const best = known
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0];
  if (best === undefined || best.distance > 3) return undefined;
  return best.distance * 2 <= Math.max(word.length, best.name.length) ? best.name : undefined;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
