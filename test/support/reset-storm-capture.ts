import { CaptureWriter } from '../../core/capture.ts';
import type { CollectorBody } from '../../proto/collect.ts';
import { batchOf, netnsOf, podOf, rawOf, reset, tickOf, v4 } from '../../services/aggregator/test-stream.ts';

/** The node's clock at the first record, Unix seconds; its boot was an hour before. */
const startS = 1_795_000_000;
const bootAtStartS = 3_600;
const batchesPerSecond = 5;

export interface StormCapture {
  readonly file: string;
  readonly messages: number;
  /** Unix seconds of the storm's first record, and of the last one. */
  readonly fromS: number;
  readonly toS: number;
}

/**
 * Writes a capture of one node with the Pod shop/web-0, which resets connections for a while and then is quiet for three
 * minutes: a finding opens, and is resolved. Ticks and heartbeats go on each second.
 */
export async function writeStormCapture(file: string, stormS: number, recordsPerSecond: number): Promise<StormCapture> {
  const writer = new CaptureWriter(file);
  let seq = 0;
  let item = 0;
  const send = (body: CollectorBody, atS: number): Promise<void> =>
    writer.write(rawOf({ ...body, seq: ++seq }, { appendedMs: Math.round((startS + atS) * 1000) }));
  const clockOffset = { seconds: startS - bootAtStartS, nanos: 0 };
  const identity = {
    netns: [
      netnsOf(4101, { names: ['web'], addresses: [v4(10, 244, 1, 2)] }),
      netnsOf(4102, { names: ['client'], addresses: [v4(10, 244, 1, 3)] }),
    ],
    pods: [podOf('web-0', 4101), podOf('client-0', 4102)],
    nodeCgroups: [1],
  };
  const enums = [{ name: 'sk_rst_reason', values: [{ value: 3, name: 'TCP_ABORT_ON_DATA' }] }];
  await send(
    { keyframe: { nextItem: 0, part: 0, parts: 1, firstOffset: clockOffset, bootId: 'b', bootNs: bootAtStartS * 1e9, identity, enums } },
    0,
  );
  for (let second = 0; second < stormS + 180; second++) {
    for (let batch = 0; second < stormS && batch < batchesPerSecond; batch++) {
      const count = recordsPerSecond / batchesPerSecond;
      const first = item;
      const fromNs = (bootAtStartS + second + batch / batchesPerSecond) * 1e9;
      const at = (of: number): number => fromNs + Math.floor(((of - first) * 1e9) / recordsPerSecond);
      item += count;
      await send(
        { batch: { ...batchOf(first, count, (of) => reset({ ts: at(of) })), clockOffset } },
        second + (batch + 1) / batchesPerSecond,
      );
    }
    await send({ heartbeat: { bootNs: (bootAtStartS + second + 1) * 1e9, clockOffset, nextItem: item } }, second + 1);
    await writer.write(tickOf(second + 1, (startS + second + 1) * 1000 + 50));
  }
  await writer.close();
  return { file, messages: writer.messages, fromS: startS, toS: startS + stormS };
}
