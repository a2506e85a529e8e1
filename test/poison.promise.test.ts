import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configSchema } from '../cli/config.ts';
import { startPipeline } from '../cli/pipeline.ts';
import { DeadLetterBox } from '../core/dead-letter-box.ts';
import { Deadline } from '../core/deadline.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { countEvents } from './support/event-files.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { patiently } from './support/patiently.ts';
import { poisons } from './support/poison.ts';

const signal = new AbortController().signal;

test('poison: what nobody can decode, on each topic of the embedded bus between good messages, is a dead letter once, and the stream goes on', async () => {
  const folder = temporaryFolder();
  const dataDir = join(folder.path, 'data');
  const config = configSchema.parse({ sinks: { file: { enabled: true } } });
  const pipeline = await startPipeline(config, dataDir, { ticks: true, log: createLog('silent') });
  const { bus } = pipeline;
  try {
    const events = new ExpectedEvents();
    const collector = await FakeCollector.start({ spoolDir: join(dataDir, 'fake-spool'), gatewayAddress: pipeline.gatewayAddress, events });
    collector.batch(400);
    const box = new DeadLetterBox(bus);
    const expected = new Set<string>();
    for (const topic of [topics.raw, topics.events, topics.metrics, topics.deadLetters]) {
      let good: Uint8Array | undefined;
      await patiently(`${topic} has a good message`, 30_000, async () => {
        const { earliest, next } = await bus.offsets(topic, 0);
        if (next === earliest) return false;
        for await (const { messages } of bus.read(topic, 0, earliest, { until: earliest + 1 })) good = messages[0]?.value.slice();
        return true;
      });
      for (const [, value] of poisons(good)) {
        const offset = await bus.append(topic, 0, [value]);
        expected.add(topic === topics.deadLetters ? `0-${offset}` : `${topic} ${offset}`);
        collector.batch(20);
      }
    }
    collector.batch(400);
    expect(await collector.close(30_000)).toBe(0);
    const found = async () => {
      const letters: string[] = [];
      for await (const { id, stage, topic, offset } of box.waiting({}, signal))
        letters.push(stage === 'unknown' ? id : `${topic} ${offset}`);
      return letters;
    };
    await patiently('every poison is a dead letter', 60_000, async () => (await found()).length >= expected.size);
    expect((await found()).sort()).toEqual([...expected].sort());
    await patiently('they are counted', 30_000, () => pipeline.deadLetters?.waiting === expected.size);
    expect(await pipeline.settled(AbortSignal.timeout(60_000))).toBe(true);
    countEvents(join(dataDir, 'events'), events);
    expect(events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  } finally {
    await pipeline.close(new Deadline(10_000));
    folder.remove();
  }
});
