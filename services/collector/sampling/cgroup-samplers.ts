import type { CgroupTarget } from '../identity/cri/container-cgroup.ts';
import type { Baselines } from '../sources/baselines.ts';
import { CgroupSource } from '../sources/cgroup.ts';
import type { DifferCounts } from '../sources/differ.ts';
import type { LayoutNumbers } from '../sources/field-table.ts';
import type { ReadCounts } from './netns-sampler.ts';
import { OwnedTargets, type SampleSink } from './sample-target.ts';

/** One container's cgroup. */
interface Container {
  readonly cgroup: CgroupTarget;
  readonly targets: OwnedTargets;
}

/** Reads the cgroups of containers. */
export class CgroupSamplers {
  readonly #list: () => readonly CgroupTarget[];
  readonly #source: CgroupSource;
  readonly #baselines: Pick<Baselines, 'of'>;
  readonly #counts: DifferCounts;
  readonly #containers = new Map<number, Container>();

  /** @param list containers that live now */
  constructor(list: () => readonly CgroupTarget[], numbers: LayoutNumbers, baselines: Pick<Baselines, 'of'>, counts: DifferCounts) {
    this.#list = list;
    this.#source = new CgroupSource(numbers);
    this.#baselines = baselines;
    this.#counts = counts;
  }

  targets(): OwnedTargets[] {
    return [...this.#containers.values()].map(({ targets }) => targets);
  }

  /** Containers that live now; those that are gone have ended. A cgroup that is removed takes its counters along. */
  look(sink: SampleSink): Iterable<Container> {
    const live = new Map(this.#list().map((cgroup) => [cgroup.id, cgroup]));
    for (const [id, { targets }] of this.#containers) {
      if (live.has(id)) continue;
      targets.endAll(sink);
      this.#containers.delete(id);
    }
    for (const [id, cgroup] of live) {
      if (this.#containers.has(id)) continue;
      this.#containers.set(id, { cgroup, targets: new OwnedTargets({ netns: 0, cgroup: id }, this.#baselines, this.#counts) });
    }
    return this.#containers.values();
  }

  /** Reads one container. */
  read({ cgroup, targets }: Container, sink: SampleSink, counts: ReadCounts, anew: boolean): void {
    targets.begin();
    if (!this.#source.read(cgroup, (target, reading) => targets.take(target, reading, sink), anew)) counts.failures++;
  }
}
