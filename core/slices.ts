/** What an iterable gives, so many at a time. */
export function* slices<Item>(items: Iterable<Item>, length: number): Generator<Item[], void, undefined> {
  let slice: Item[] = [];
  for (const item of items) {
    if (slice.push(item) < length) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
