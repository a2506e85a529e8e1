/** Work in pieces: wherever it yields, others may have their turn. They must leave alone what it works on. */
export type Pieces<Result = void> = Generator<undefined, Result, undefined>;

/** Does all of it in one go. */
export function atOnce<Result>(pieces: Pieces<Result>): Result {
  for (;;) {
    const { done, value } = pieces.next();
    if (done === true) return value;
  }
}
