import { EventBatchWriter } from '../../schema/event-batch.ts';

/** What the events of a stream have in common, and where it begins. */
export interface EventStreamOptions {
  /** 16 hex digits: the first half of every id. */
  readonly prefix: string;
  readonly node: string;
  /** Time of the first event, Unix s. */
  readonly startS: number;
  /** Between two events, ns. */
  readonly stepNs: number;
  /** Bytes of a line. Default 1,300. */
  readonly lineBytes?: number;
  /** Number of the first event. Default 0. */
  readonly first?: number;
  /** Origins begin at this raw offset. Default 0. */
  readonly rawOffset?: number;
  /** Running number of the first event in the partition. Default 0. */
  readonly firstEvent?: number;
}

const types = ['tcpreset', 'tcpretrans', 'packetloss', 'tcplife'] as const;
const kindEvent = 1;

/** Time of event `number` of a stream, Unix s. */
export function eventSeconds({ startS, stepNs, first = 0 }: EventStreamOptions, number: number): number {
  return startS + Math.floor(((number - first) * stepNs) / 1e9);
}

/** Makes EventBatches like the aggregator's: ECS lines of some size, four types, three severities, 50 Pods of a node. */
export class EventStream {
  readonly #options: Required<EventStreamOptions>;
  readonly #writer = new EventBatchWriter();
  #made = 0;

  constructor(options: EventStreamOptions) {
    this.#options = { lineBytes: 1_300, first: 0, rawOffset: 0, firstEvent: 0, ...options };
  }

  /** The next `count` events as one message of the bus. `lineBytes`: of each of them. */
  next(count: number, lineBytes = this.#options.lineBytes): Uint8Array {
    const { prefix, node, startS, stepNs, first, rawOffset, firstEvent } = this.#options;
    const writer = this.#writer;
    writer.reset();
    const from = this.#made;
    for (let index = from; index < from + count; index++) {
      const number = first + index;
      const type = types[number % types.length];
      const severity = 1 + (number % 3);
      const pod = `web-${number % 50}`;
      const uid = `0b7f5d52-6a0e-4b1e-9c53-0e5a2f0d${1000 + (number % 50)}`;
      const sinceNs = index * stepNs;
      const nanos = sinceNs % 1e9;
      const line = lineOf(`${prefix}-${number}`, type, severity, pod, uid, node, lineBytes);
      writer.putLine(line);
      const seconds = startS + Math.floor(sinceNs / 1e9);
      writer.add(seconds, nanos, rawOffset + index, 0, prefix, number, kindEvent, type, severity, 'shop', pod, node, uid);
    }
    this.#made += count;
    return writer.finish(firstEvent + from);
  }
}

function lineOf(id: string, type: string, severity: number, pod: string, uid: string, node: string, bytes: number): string {
  const level = ['', 'info', 'warning', 'critical'][severity];
  const document = {
    message: `shop/${pod} reset a connection`,
    log: { level },
    event: { kind: 'event', id, severity, reason: 'NO_SOCKET' },
    source: { ip: '10.244.1.2', port: 81, kubernetes: { namespace: 'shop', pod: { name: pod, uid } } },
    destination: { ip: `10.244.2.${id.length}`, port: 40_512 },
    host: { name: node },
    jitterscope: { type, values: { srtt_us: 12_500 } },
    pad: '',
  };
  const short = JSON.stringify(document);
  return `${short.slice(0, -2)}${filler(id, Math.max(0, bytes - short.length - 1))}"}\n`;
}

/** Text that compresses about as well as an event does. */
function filler(id: string, length: number): string {
  const words = `${id} kube-system/coredns-${id.slice(-3)} NETFILTER_DROP nf_hook_slow+0x${id.slice(-4)} `;
  return words.repeat(Math.ceil(length / words.length)).slice(0, length);
}
