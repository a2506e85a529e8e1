import { expect, test } from 'vitest';
import { ForeignBatches } from './foreign-batches.ts';

const zstd = 4;

test('brokers are asked once for however many foreign batches of a topic', async () => {
  const asked: string[] = [];
  const told: unknown[] = [];
  const batches = new ForeignBatches({
    setting: async (topic) => {
      asked.push(topic);
      return 'producer';
    },
    failed: (what, thrown) => told.push([what, (thrown as { code: string }).code]),
  });
  await Promise.all([batches.found('events', 0, zstd), batches.found('events', 1, zstd)]);
  for (let batch = 0; batch < 10; batch++) await batches.found('events', 0, zstd);
  await batches.found('raw', 0, zstd);
  expect(asked).toEqual(['events', 'raw']);
  expect(told).toHaveLength(13);
  expect(told[0]).toEqual(['reading events/0', 'KAFKA_FOREIGN_BATCH']);
});

test('brokers that do not answer are asked once for each batch, which is passed over', async () => {
  let answer: () => Promise<string> = () => Promise.reject(new Error('away'));
  const told: string[] = [];
  const batches = new ForeignBatches({ setting: () => answer(), failed: (what) => told.push(what) });
  await batches.found('events', 0, zstd);
  expect(told).toEqual(['the settings of events', 'reading events/0']);
  answer = async () => 'zstd';
  await expect(batches.found('events', 0, zstd)).rejects.toMatchObject({ code: 'KAFKA_COMPRESSION' });
});
