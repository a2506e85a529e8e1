import { EventBatchWriter } from '../../schema/event-batch.ts';

/** Events of one partition that no aggregator made: as its output, with documents of about `bytes` each. */
export interface SyntheticEvents {
  readonly partition: number;
  readonly first: number;
  readonly count: number;
  readonly bytes?: number;
  /** Address in `source.ip`; one that is none is refused by the mapping. */
  sourceIp?(number: number): string;
}

/** Id of a synthetic event; numbers count per partition. */
export function syntheticId(partition: number, number: number): string {
  return `${prefixOf(partition)}-${number}`;
}

/** One message of the events topic. */
export function encodeSyntheticEvents({ partition, first, count, bytes = 400, sourceIp = () => '10.0.0.1' }: SyntheticEvents): Uint8Array {
  const writer = new EventBatchWriter(count * (bytes + 64));
  const nowS = Math.floor(Date.now() / 1000);
  for (let number = first; number < first + count; number++) {
    writer.putLine(lineOf(partition, number, nowS, bytes, sourceIp(number)));
    writer.add(nowS, 0, number, 0, prefixOf(partition), number, 1, 'tcpreset', 1, 'shop', `web-${number % 50}`, 'node1');
  }
  return writer.finish(first);
}

function prefixOf(partition: number): string {
  return `5e1f0b7a52e4d3${(0x10 + partition).toString(16)}`;
}

function lineOf(partition: number, number: number, nowS: number, bytes: number, ip: string): string {
  const event = {
    '@timestamp': `${new Date(nowS * 1000).toISOString().slice(0, 19)}.${String(number % 1e9).padStart(9, '0')}Z`,
    message: `shop/web-${number % 50} reset a connection`,
    log: { level: 'info' },
    event: {
      kind: 'event',
      category: ['network'],
      type: ['connection', 'denied'],
      action: 'reset-sent',
      id: syntheticId(partition, number),
      severity: 1,
    },
    source: { ip, port: 81 },
    host: { name: 'node1' },
    kubernetes: { namespace: 'shop', pod: { name: `web-${number % 50}` } },
    jitterscope: { schema: 1, type: 'tcpreset' },
  };
  const text = JSON.stringify(event);
  return `${text.slice(0, -1)},"pad":"${wordsOf(number, Math.max(0, bytes - text.length - 10))}"}\n`;
}

/** Text that compresses about as documents do. */
function wordsOf(number: number, length: number): string {
  let text = '';
  for (let word = 0; text.length < length; word++) text += `kubernetes.pod.label-${(number * 7919 + word * 104_729) % 65_536} `;
  return text.slice(0, length);
}
