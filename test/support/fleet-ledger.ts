import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { ExpectedEvents } from './expected-events.ts';
import { fateOf } from './synthetic-node.ts';

/** What a fleet did with the items of sessions; `begun` ones may be in no spool yet, `spooled` ones must arrive. */
type Step = 'begun' | 'spooled';

/** File in which a fleet writes what it is about to do and what it did, so that it is known when the fleet is killed. */
export class FleetLedger {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  /** In the file, as far as the kernel is concerned, when it returns. @param end number behind the last item */
  note(step: Step, prefix: string, end: number): void {
    writeSync(this.#file, `${step} ${prefix} ${end}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** What must arrive of a fleet's items, and what may. */
export interface FleetItems {
  /** Items that were spooled. */
  readonly events: ExpectedEvents;
  /** Items that were about to be spooled when the fleet was killed: each arrives once, or in no store. */
  readonly uncertain: ExpectedEvents;
  /** All of the spooled ones, those that become no event included. */
  readonly items: number;
}

/** Reads the ledger of a fleet. */
export function readLedger(path: string): FleetItems {
  const ends = new Map<string, { begun: number; spooled: number }>();
  for (const line of readFileSync(path, 'latin1').split('\n').slice(0, -1)) {
    const [step, prefix, end] = line.split(' ');
    const session = ends.get(prefix) ?? { begun: 0, spooled: 0 };
    session[step as Step] = Number(end);
    ends.set(prefix, session);
  }
  const [events, uncertain] = [new ExpectedEvents(), new ExpectedEvents()];
  let items = 0;
  for (const [prefix, { begun, spooled }] of ends) {
    items += spooled;
    for (let item = 0; item < begun; item++) if (fateOf(item) === 'event') (item < spooled ? events : uncertain).expect(prefix, item);
  }
  return { events, uncertain, items };
}
