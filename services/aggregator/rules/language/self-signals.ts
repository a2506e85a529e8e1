/** Something that the aggregator knows of its nodes or of the pipeline, as a rule may read it. */
export interface SelfSignal {
  readonly source: 'node' | 'pipeline';
  readonly field: string;
  readonly kind: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly meaning: string;
}

/** What rules on the partition's clock are made of: they need nothing from the node that is silent. */
export const selfSignals: readonly SelfSignal[] = [
  {
    ...{ source: 'node', field: 'silent_seconds', kind: 'gauge', labels: [] },
    meaning: 'seconds for which nothing came from the node; 0 below 15',
  },
  { ...{ source: 'node', field: 'gap_items', kind: 'counter', labels: [] }, meaning: 'items of the node that never came' },
  {
    ...{ source: 'node', field: 'skipped_items', kind: 'counter', labels: ['reason'] },
    meaning: 'items that the collector of the node gave up, and why',
  },
  {
    ...{ source: 'node', field: 'kernel_lost_records', kind: 'counter', labels: ['probe'] },
    meaning: 'records that the kernel had no room for, by probe',
  },
  {
    ...{ source: 'pipeline', field: 'queue_fill_ratio', kind: 'gauge', labels: ['queue'] },
    meaning: 'how full a queue of the pipeline is, 0 to 1',
  },
  { ...{ source: 'pipeline', field: 'dead_letters', kind: 'counter', labels: ['stage'] }, meaning: 'items put aside for good, by stage' },
  {
    ...{ source: 'pipeline', field: 'lost_events', kind: 'counter', labels: ['sink'] },
    meaning: 'events that a sink had not read when retention deleted them',
  },
  {
    ...{ source: 'pipeline', field: 'state_lost', kind: 'gauge', labels: [] },
    meaning: '1 for some time after the aggregator started without a usable checkpoint of the partition, else 0',
  },
];
