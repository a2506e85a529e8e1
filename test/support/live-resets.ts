import type { ProbeRow } from '../../cli/probe-rows.ts';
import { eventually } from '../lab/eventually.ts';
import type { NetnsLab } from '../lab/netns-lab.ts';
import type { KafkaRoles } from './kafka-roles.ts';
import type { LiveDispositions, LiveEvent } from './live-run.ts';

const closedPort = 81;
const firstPort = 20_000;
const spooledWithinMs = 500;

/** Real resets between two namespaces, seen by a collector role that may be killed. */
export class LiveResets {
  readonly #lab: NetnsLab;
  readonly #roles: KafkaRoles;
  /** Ports of whose resets nobody can know whether the collector read them. */
  readonly #uncertain = new Set<number>();
  #made = 0;
  #flow: Promise<void> = Promise.resolve();
  #flows = false;

  /** @param lab with namespaces of its own */
  constructor(lab: NetnsLab, roles: KafkaRoles) {
    this.#lab = lab;
    this.#roles = roles;
  }

  /** Connects to a closed port: one reset sent in `b` and one received in `a` for each. */
  async make(count: number): Promise<void> {
    const { a, b } = this.#lab;
    const port = firstPort + this.#made;
    this.#made += count;
    await this.#lab.result(a, 'connect.mjs', a.ipv4, String(port), String(count), b.ipv4, String(closedPort));
  }

  /** Resolves when what was made until now is in the collector's spool: it has numbered all that the kernel has emitted by now. */
  async spooled(): Promise<void> {
    const rows = (await this.#roles.ask('collector', 'probes')) as ProbeRow[];
    const emitted = rows.reduce((sum, { events }) => sum + events.emitted, 0);
    const isNumbered = async (): Promise<boolean> => {
      const [{ collector }] = (await this.#roles.ask('collector', 'dispositions')) as [LiveDispositions];
      return collector.items >= emitted;
    };
    await eventually('the records are numbered', isNumbered);
    await new Promise((resolve) => setTimeout(resolve, spooledWithinMs));
  }

  /** Makes resets again and again, of which a kill may take some: they are uncertain. */
  flow(): void {
    this.#flows = true;
    this.#flow = (async () => {
      while (this.#flows) {
        const from = this.#made;
        await this.make(8);
        for (let made = from; made < this.#made; made++) this.#uncertain.add(firstPort + made);
      }
    })();
  }

  async stop(): Promise<void> {
    this.#flows = false;
    await this.#flow;
  }

  /** What is wrong with a store's events of the collector's node: nothing, for a store that holds each once. */
  wrong(events: readonly LiveEvent[]): string[] {
    const wrong: string[] = [];
    if (new Set(events.map(({ event }) => event.id)).size !== events.length) wrong.push('an id is there twice');
    const names = [this.#lab.a.name, this.#lab.b.name];
    const own = events.filter(({ jitterscope }) => jitterscope.type === 'tcpreset' && names.includes(jitterscope.netns?.name ?? ''));
    for (const action of ['reset-sent', 'reset-received']) {
      const counts = new Map<number, number>();
      for (const { event, source, destination } of own) {
        if (event.action !== action) continue;
        const port = source.port === closedPort ? destination.port : source.port;
        counts.set(port, (counts.get(port) ?? 0) + 1);
      }
      for (let port = firstPort; port < firstPort + this.#made; port++) {
        const count = counts.get(port) ?? 0;
        if (count > 1 || (count === 0 && !this.#uncertain.has(port))) wrong.push(`${action} of port ${port}: ${count} times`);
      }
    }
    return wrong;
  }

  /** Connections that were made, and those of them that a kill may have taken. */
  get counts(): { readonly made: number; readonly uncertain: number } {
    return { made: this.#made, uncertain: this.#uncertain.size };
  }
}
