import { RawMessage, topics } from '../../proto/bus.ts';
import { CollectorMessage } from '../../proto/collect.ts';
import { openBusOf } from './data-folder.ts';
import { SampleLedger } from './sample-ledger.ts';

/** What all samples on the raw log of a data folder tell, from its beginning. No process may hold the folder. */
export async function readSamples(dataDir: string): Promise<SampleLedger> {
  const ledger = new SampleLedger();
  const bus = await openBusOf(dataDir);
  try {
    const { earliest, next } = await bus.offsets(topics.raw, 0);
    if (earliest > 0) throw new Error('the raw log no longer begins with its first message');
    for await (const fetch of bus.read(topics.raw, 0, earliest, { until: next })) {
      for (const { value } of fetch.messages) {
        const raw = RawMessage.decode(value);
        const { samples } = raw.tick ? {} : CollectorMessage.decode(raw.message);
        if (samples) ledger.take(samples);
      }
    }
    return ledger;
  } finally {
    await bus.close();
  }
}
