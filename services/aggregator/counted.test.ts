import { expect, test } from 'vitest';
import { batchOf, identityFault, netnsOf, rawOf, reset, TestPartition } from './test-stream.ts';

const keyframe = rawOf({ seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101)] } } });

test('records of a probe below its least severity are counted, and become no events', async () => {
  const some = rawOf({ seq: 2, batch: batchOf(0, 10, (item) => reset({ probe: item < 4 ? 1 : 2 })) });
  const all = await new TestPartition().feed(keyframe, some);
  expect([all.lines.length, all.state.dispositions.counted]).toEqual([10, 0]);
  for (const least of [1, 2, 3]) {
    const partition = await new TestPartition({ minSeverity: new Map([[1, least]]) }).feed(keyframe, some);
    const counted = least > 1 ? 4 : 0;
    expect(partition.state.dispositions).toMatchObject({ counted, events: 10 - counted });
    expect(partition.ids).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].slice(counted));
    expect(identityFault(partition.state)).toBeUndefined();
  }
});
