import type { NetnsHandle } from '../../../native/addon.ts';
import type { Baselines } from '../sources/baselines.ts';
import type { DifferCounts } from '../sources/differ.ts';
import type { Reading } from '../sources/field-table.ts';
import { readLinks } from '../sources/links.ts';
import type { SockdiagSource } from '../sources/sockdiag.ts';
import type { NetnsFileSource, SourceTarget, TakeReading } from '../sources/source.ts';
import { NetnsListeners } from './netns-listeners.ts';
import { OwnedTargets, type SampleSink } from './sample-target.ts';

/** What is read in each namespace. */
export interface NetnsSources {
  readonly files: readonly NetnsFileSource[];
  readonly sockdiag: SockdiagSource;
}

/** What went wrong or was left out while reading. */
export interface ReadCounts {
  /** Files and dumps that could not be read or were not what was expected. */
  failures: number;
  /** Listening ports beyond the limit of a namespace. */
  omittedPorts: number;
}

/** The field of each file that tells of accept queues. */
const signFields = new Map([
  ['sockstat', 'TCP.inuse'],
  ['sockstat6', 'TCP6.inuse'],
  ['snmp', 'Tcp.PassiveOpens'],
]);

/** Interfaces are asked for their ifindex this seldom when nothing tells that they changed. */
const readsBetweenLinks = 8;

/** Reads all sources of one namespace through a descriptor that keeps it. */
export class NetnsSampler {
  readonly targets: OwnedTargets;
  readonly #handle: NetnsHandle;
  readonly #sources: NetnsSources;
  readonly #names: readonly string[];
  #closed = false;
  #links = new Map<string, number>();
  #readsToLinks = 0;
  readonly #listeners: NetnsListeners;
  /** As the files told last; sockets are taken to be there until one says how many. */
  readonly #signs = new Map<string, number>();

  constructor(handle: NetnsHandle, cookie: number, sources: NetnsSources, baselines: Pick<Baselines, 'of'>, counts: DifferCounts) {
    this.#handle = handle;
    this.#sources = sources;
    this.#names = sources.files.map(({ file }) => file);
    this.#listeners = new NetnsListeners(sources.sockdiag);
    this.targets = new OwnedTargets({ netns: cookie, cgroup: 0 }, baselines, counts);
  }

  /** Reads everything once. @param anew true: trusts nothing that was learnt from earlier reads. Throws when nothing can be read. */
  read(sink: SampleSink, counts: ReadCounts, anew: boolean): void {
    // Its turn in a cycle may come after its end.
    if (this.#closed) return;
    const contents = this.#handle.readProcNet(this.#names, true);
    this.targets.begin();
    this.#readsToLinks--;
    for (const [i, source] of this.#sources.files.entries()) {
      const bytes = contents[i];
      const whole = bytes === undefined || this.#readFile(source, bytes, sink, anew);
      if (whole) this.targets.end(source.name, sink);
      else counts.failures++;
    }
    this.#readListeners(sink, counts, anew);
  }

  close(): void {
    this.#closed = true;
    this.#handle.close();
  }

  #readFile(source: NetnsFileSource, bytes: Buffer, sink: SampleSink, anew: boolean): boolean {
    if (source.name !== 'netdev')
      return source.read(
        bytes,
        (target, reading) => {
          this.targets.take(target, reading, sink);
          this.#noteSign(source.name, reading);
        },
        anew,
      );
    if (anew || this.#readsToLinks <= 0) this.#learnLinks(source, sink);
    const take: TakeReading = (target, reading) => this.targets.take(this.#device(source, target, reading, sink), reading, sink);
    return source.read(bytes, take, anew);
  }

  /** A device that was made anew under the same name is another target: it has another ifindex. */
  #device(source: NetnsFileSource, target: SourceTarget, reading: Reading, sink: SampleSink): SourceTarget {
    const { key: name, labels } = target;
    const known = this.#links.get(name);
    if (known === undefined || this.targets.falls({ key: deviceKey(name, known), labels }, reading)) {
      this.#learnLinks(source, sink);
      // Gone already, or the interfaces cannot be asked: it is known by its name then.
      if (!this.#links.has(name)) this.#links.set(name, 0);
    }
    return { key: deviceKey(name, this.#links.get(name) ?? 0), labels };
  }

  /** What a device of another ifindex counted has ended before its successor is told. */
  #learnLinks(source: NetnsFileSource, sink: SampleSink): void {
    this.#readsToLinks = readsBetweenLinks;
    let links: Map<string, number>;
    try {
      links = readLinks(this.#handle);
    } catch {
      // Names alone tell the devices apart.
      return;
    }
    for (const [name, ifindex] of this.#links)
      if (links.get(name) !== ifindex) this.targets.endOne(source.name, deviceKey(name, ifindex), sink);
    this.#links = links;
  }

  #noteSign(source: string, { table, columns, values }: Reading): void {
    const field = signFields.get(source);
    if (field === undefined) return;
    const at = columns.indexOf(table.indexOf(field));
    if (at >= 0) this.#signs.set(source, values[at]);
  }

  #readListeners(sink: SampleSink, counts: ReadCounts, anew: boolean): void {
    const sign = (source: string): number => this.#signs.get(source) ?? 1;
    const signs = { inuse: sign('sockstat') + sign('sockstat6'), passiveOpens: sign('snmp') };
    try {
      const take: TakeReading = (target, reading) => this.targets.take(target, reading, sink);
      counts.omittedPorts += this.#listeners.read(this.#handle, signs, anew, take);
      this.targets.end('sockdiag', sink);
    } catch {
      counts.failures++;
    }
  }
}

function deviceKey(name: string, ifindex: number): string {
  return `${name} ${ifindex}`;
}
