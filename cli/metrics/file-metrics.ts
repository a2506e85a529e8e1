import type { Sinks } from '../../services/sinks/main.ts';
import type { MetricSet, Sample } from './metric-set.ts';

/** What the file sink has on disk, and what it counts beside what all sinks do; 0 while it is off. */
export function addFileMetrics(set: MetricSet, sinks: Pick<Sinks, 'stats' | 'diskBytes'>): void {
  const ofFile = () => sinks.stats().filter(({ sink }) => sink === 'file');
  const counted = (name: string) => (): Sample[] => ofFile().map(({ store }) => [{}, store[name] ?? 0]);

  set.gauge(
    'jitterscope_file_bytes',
    'Bytes of the files with events on disk, those that were moved aside included; NaN while their folder cannot be read.',
    [],
    async () => {
      const bytes = (await sinks.diskBytes()).get('file') ?? Number.NaN;
      return ofFile().map(() => [{}, bytes]);
    },
  );
  set.counter(
    'jitterscope_file_removed_files_total',
    'Files with events that were deleted because their partition had more than `sinks.file.maxFiles`.',
    [],
    counted('removedFiles'),
  );
  set.counter('jitterscope_file_removed_bytes_total', 'Bytes of those files.', [], counted('removedBytes'));
  set.counter(
    'jitterscope_file_cut_bytes_total',
    'Bytes behind the last delivered event, cut off at start; their events are written again.',
    [],
    counted('cutBytes'),
  );
}
