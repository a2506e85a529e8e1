import { nodeIndex } from './entity-table.ts';
import type { RulePlan } from './rule-plan.ts';

/** Pairs of entity and rule that are to be judged with the next second, each once. Key: entity * rules + rule. */
export class JudgeQueue {
  readonly #plan: RulePlan;
  #keys: number[] = [];
  #isQueued = new Uint8Array(0);

  constructor(plan: RulePlan) {
    this.#plan = plan;
  }

  /** Makes room for an entity, before anything of it is put. */
  reach(entity: number): void {
    const needed = (entity + 1) * this.#plan.rules.length;
    if (needed <= this.#isQueued.length) return;
    const longer = new Uint8Array(Math.ceil(needed * 1.5));
    longer.set(this.#isQueued);
    this.#isQueued = longer;
  }

  put(key: number): void {
    if (this.#isQueued[key] === 1) return;
    this.#isQueued[key] = 1;
    this.#keys.push(key);
  }

  /** All rules of an entity. */
  putEntity(entity: number): void {
    for (const { index, ofEveryEntity } of this.#plan.rules) if (ofEveryEntity || entity === nodeIndex) this.#putPair(entity, index);
  }

  /** A signal of an entity has changed: the rules that read it. @param entities how many places of entities there are */
  putReaders(entity: number, signal: number, entities: number): void {
    const { rules, readers, nodeReaders } = this.#plan;
    for (const rule of readers[signal]) {
      if (entity === nodeIndex || rules[rule].ofEveryEntity) this.#putPair(entity, rule);
    }
    if (entity !== nodeIndex) return;
    for (const rule of nodeReaders[signal]) {
      this.#putPair(nodeIndex, rule);
      if (!rules[rule].ofEveryEntity) continue;
      for (let other = 1; other < entities; other++) this.#putPair(other, rule);
    }
  }

  /** How many there are; more may be put while they are judged. */
  get size(): number {
    return this.#keys.length;
  }

  /** The key at a place of the queue, which may be put again from here on. */
  release(place: number): number {
    const key = this.#keys[place];
    this.#isQueued[key] = 0;
    return key;
  }

  /** All are released. */
  clear(): void {
    this.#keys = [];
  }

  #putPair(entity: number, rule: number): void {
    this.put(entity * this.#plan.rules.length + rule);
  }
}
