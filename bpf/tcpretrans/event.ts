import type { RecordReader } from '../../schema/record.ts';
import type { EventDescription, EventNames, EventValue, EventVariant } from '../event.ts';
import { nonZero } from '../event-words.ts';
import { retransmitKindNames, retransmitKinds } from './kinds.ts';

const synAck = 2;
/** enum tail_word of tcpretrans.bpf.c */
const x = {
  segments: 0,
  retransmits: 1,
  totalSegments: 2,
  unackedSegments: 3,
  acceptQueue: 4,
  acceptQueueMax: 5,
  errno: 6,
  queueDropped: 7,
} as const;

const variant: EventVariant = { action: 'retransmit', types: ['connection', 'info'], severity: 1 };

/** Of a connection, not of a request for one. */
function ofConnection(record: RecordReader, value: number): number {
  return record.variant === synAck ? -1 : value;
}

/** Of the socket that listens. */
function ofListener(record: RecordReader, word: number): number {
  return record.variant === synAck ? record.x(word) : -1;
}

const values: readonly EventValue[] = [
  {
    name: 'srtt_us',
    description: 'Smoothed round-trip time; absent before the first measurement.',
    read: (record) => nonZero(record.v1),
  },
  { name: 'cwnd_segments', description: 'Congestion window.', read: (record) => ofConnection(record, record.v2) },
  { name: 'segments', description: 'Segments sent again by this retransmit.', read: (record) => record.x(x.segments) },
  { name: 'retransmits', description: 'Which retransmit in a row it is.', read: (record) => nonZero(record.x(x.retransmits)) },
  {
    name: 'total_segments',
    description: 'Segments that the connection has sent again so far.',
    read: (record) => ofConnection(record, record.x(x.totalSegments)),
  },
  {
    name: 'unacked_segments',
    description: 'Segments that wait for an ACK.',
    read: (record) => ofConnection(record, record.x(x.unackedSegments)),
  },
  {
    name: 'accept_queue_connections',
    description: 'Connections of the listener that wait for accept().',
    read: (record) => ofListener(record, x.acceptQueue),
  },
  {
    name: 'accept_queue_max_connections',
    description: 'Most that may wait.',
    read: (record) => ofListener(record, x.acceptQueueMax),
  },
  { name: 'errno', description: 'Why this host did not send it.', read: (record) => nonZero(record.x(x.errno)) },
  {
    name: 'queue_dropped',
    description: '1: a queue of this host dropped it.',
    read: (record) => nonZero(record.x(x.queueDropped)),
  },
];

/** tcpretrans's records as events. */
export const tcpretransEvent: EventDescription = {
  type: 'tcpretrans',
  probe: 2,
  category: ['network'],
  variants: new Map([
    [1, variant],
    [synAck, variant],
  ]),
  reason: (record) => retransmitKindNames.get(record.code),
  message(record, names) {
    return `${sentence(record, names)}${notSent(record)}`;
  },
  values,
  suppressed: (record) => record.v0,
};

function sentence(record: RecordReader, names: EventNames): string {
  const { local, far } = names;
  const retransmitted = `${local} retransmitted to ${far}`;
  switch (record.code) {
    case retransmitKinds.SYN:
      return `${local}'s SYN to ${far}:${record.dport} was not answered, retransmission ${record.x(x.retransmits)}`;
    case retransmitKinds.SYN_ACK:
      return `${local}'s SYN-ACK to ${far} was not acknowledged${acceptQueue(record)}`;
    case retransmitKinds.RTO:
      return `${retransmitted}: no ACK within the retransmission timeout (RTO)${path(record)}`;
    case retransmitKinds.FAST:
      return `${retransmitted}: later segments were acknowledged, this one was not (fast retransmit)${path(record)}`;
    case retransmitKinds.TLP:
      return `${retransmitted}: the last segment was not acknowledged in time (tail loss probe)${path(record)}`;
    default:
      return `${retransmitted}${path(record)}`;
  }
}

function path(record: RecordReader): string {
  const srtt = record.v1 === 0 ? '' : `, srtt ${(record.v1 / 1000).toFixed(1)} ms`;
  return `${srtt}, cwnd ${record.v2}`;
}

/** The kernel accepts one more connection than the maximum says (sk_acceptq_is_full). */
function acceptQueue(record: RecordReader): string {
  if (record.variant !== synAck || record.x(x.acceptQueueMax) === 0) return '';
  return `; its accept queue is ${record.x(x.acceptQueue)}/${record.x(x.acceptQueueMax)}`;
}

function notSent(record: RecordReader): string {
  if (record.x(x.queueDropped) !== 0) return '; a queue of this host dropped the packet';
  const errno = record.x(x.errno);
  return errno === 0 ? '' : `; this host did not let the packet out (errno ${errno})`;
}
