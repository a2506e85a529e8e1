/** A moment by which several steps have to end, one after the other: what one of them uses up, the next ones have not. */
export class Deadline {
  readonly #atMs: number;

  constructor(ms: number) {
    this.#atMs = performance.now() + ms;
  }

  /** Whole milliseconds that are left, at least 0. */
  get leftMs(): number {
    return Math.max(0, Math.ceil(this.#atMs - performance.now()));
  }

  /** Part of what is left, for a step that must leave time to those behind it, ms. */
  share(part: number): number {
    return Math.floor(this.leftMs * part);
  }
}

/** Whether work ends within a time, well or not. What does not is left behind: it goes on, and whoever began it ends it. */
export async function endsWithin(work: Promise<unknown>, maxMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), maxMs);
  });
  const ended = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([ended, late]);
  } finally {
    clearTimeout(timer);
  }
}
