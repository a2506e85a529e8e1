import type { Samples, TargetSamples } from '../../proto/collect.ts';
import { batchOf, netnsOf, rawOf, reset, tickOf, v4 } from './test-stream.ts';

const second = 1e9;

/** Counters of two namespaces, and of the node. */
function samplesAt(step: number): Samples {
  const bootNs = (step * second) / 5;
  const of = (netns: number): TargetSamples => ({ layout: 1, netns, bootNs, values: [step * 10, step % 7], all: true });
  return {
    layouts: [{ id: 1, source: 'snmp', fields: ['Tcp.RetransSegs', 'Tcp.CurrEstab'] }],
    targets: [of(0), of(4101), of(6001)],
    end: true,
  };
}

/** Raw messages of two nodes: identity that comes late, gaps, repeats, refused messages, ticks. */
export function rawStream(steps: number): Uint8Array[] {
  const values: Uint8Array[] = [];
  for (const node of ['a', 'b', 'c'])
    values.push(
      rawOf({ seq: 1, keyframe: { nextItem: 0, identity: { netns: [netnsOf(4101, { addresses: [v4(10, 244, 1, 2)] })] } } }, { node }),
    );
  for (let step = 0, item = 0; step < steps; step++) {
    const node = step % 3 === 0 ? 'b' : 'a';
    const appendedMs = step * 200;
    const at = (step * second) / 5;
    const count = step % 5;
    const net = step % 4 === 0 ? 6000 + (step >> 4) : 4101;
    const batch = batchOf(item, count, (n) => reset({ net, ts: at + n, daddr: step % 2 ? [10, 244, 1, 2] : [10, 0, 0, step & 255] }));
    values.push(rawOf({ seq: 10 + step, batch }, { node, appendedMs }));
    if (step % 7 === 0) values.push(rawOf({ seq: 10 + step, batch }, { node, appendedMs }));
    if (step % 11 === 0) values.push(Buffer.from('not a message'));
    if (step % 13 === 0)
      values.push(
        rawOf({ seq: 1000 + step, identity: { netns: [netnsOf(6000 + (step >> 4) - 1, { fromBootNs: at })] } }, { node, appendedMs }),
      );
    if (step % 5 === 0)
      values.push(tickOf(step, appendedMs), rawOf({ seq: 2000 + step, heartbeat: { bootNs: at } }, { node: 'b', appendedMs }));
    if (step % 3 === 0) values.push(rawOf({ seq: 3000 + step, samples: samplesAt(step) }, { node: 'c', appendedMs }));
    item += count + (step % 17 === 0 ? 3 : 0);
  }
  values.push(tickOf(9999, 1e9));
  return values;
}
