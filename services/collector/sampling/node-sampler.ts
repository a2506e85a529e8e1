import { readFileSync } from 'node:fs';
import type { Baselines } from '../sources/baselines.ts';
import type { DifferCounts } from '../sources/differ.ts';
import type { LayoutNumbers } from '../sources/field-table.ts';
import { cpuList, SoftnetSource } from '../sources/softnet.ts';
import type { ReadCounts } from './netns-sampler.ts';
import { OwnedTargets, type SampleSink } from './sample-target.ts';

/** Reads what the kernel counts for the node as a whole. */
export class NodeSampler {
  readonly targets: OwnedTargets;
  readonly #softnet: SoftnetSource;

  constructor(numbers: LayoutNumbers, baselines: Pick<Baselines, 'of'>, counts: DifferCounts) {
    this.#softnet = new SoftnetSource(numbers);
    this.targets = new OwnedTargets({ netns: 0, cgroup: 0 }, baselines, counts);
  }

  /** Reads everything once. Throws when nothing can be read. */
  read(sink: SampleSink, counts: ReadCounts): void {
    this.targets.begin();
    const text = readFileSync('/proc/net/softnet_stat', 'latin1');
    // CPUs that go offline are not ended: their counters go on when they come back.
    if (!this.#softnet.read(text, onlineCpus(), (target, reading) => this.targets.take(target, reading, sink))) counts.failures++;
  }
}

function onlineCpus(): number[] {
  return cpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1'));
}
