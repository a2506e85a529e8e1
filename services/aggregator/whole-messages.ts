/** Lets others look at a partition's state only where no message is half taken in. */
export class WholeMessages {
  #isOpen = false;
  #waiting: (() => void)[] = [];

  /** Takes a message in; those who waited look behind it, also when it fails. */
  async during<Result>(take: () => Promise<Result>): Promise<Result> {
    this.#isOpen = true;
    try {
      return await take();
    } finally {
      this.#isOpen = false;
      for (const look of this.#waiting.splice(0)) look();
    }
  }

  /** What the function sees between two messages; it changes nothing. */
  between<Seen>(see: () => Seen): Promise<Seen> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        try {
          resolve(see());
        } catch (thrown) {
          reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
        }
      };
      if (this.#isOpen) this.#waiting.push(look);
      else look();
    });
  }
}
