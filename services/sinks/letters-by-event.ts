import type { DeadLetterBox, LetterFilter } from '../../core/dead-letter-box.ts';

/** Letters by event, of one partition of their topic. */
export class LettersByEvent {
  /** Of the dead letters' topic. */
  readonly partition: number;
  readonly #ids = new Map<string, string[]>();

  private constructor(partition: number) {
    this.partition = partition;
  }

  /**
   * Reads what waits in a partition, some 200 bytes a letter in memory. All letters of an event are in one partition, because
   * they are where its events are; which of them were asked for makes no difference: the event is sent once for all of them.
   */
  static async read(
    box: Pick<DeadLetterBox, 'waiting'>,
    partition: number,
    { target }: LetterFilter,
    signal: AbortSignal,
  ): Promise<LettersByEvent> {
    const letters = new LettersByEvent(partition);
    for await (const letter of box.waiting({ partition, stage: 'sink', ...(target !== undefined && { target }) }, signal)) {
      if (letter.eventId === undefined) continue;
      const key = keyOf(letter.target, letter.eventId);
      const ids = letters.#ids.get(key);
      if (ids === undefined) letters.#ids.set(key, [letter.id]);
      else ids.push(letter.id);
    }
    return letters;
  }

  /** Ids of an event's letters for a sink, oldest first. Undefined: they were taken before, or came behind the reading. */
  take(target: string, eventId: string): string[] | undefined {
    const key = keyOf(target, eventId);
    const ids = this.#ids.get(key);
    this.#ids.delete(key);
    return ids;
  }
}

const keyOf = (target: string, eventId: string): string => `${target} ${eventId}`;
