import type { RecordReader } from '../../schema/record.ts';
import type { EventDescription, EventNames, EventValue } from '../event.ts';
import { latencyText } from '../event-words.ts';
import { levelNames, levels } from './names.ts';

const queue = 1;
const accepted = 2;

/** enum tail_word of tcpaccept.bpf.c */
const x = { oldestWaitUs: 0, drops: 1 } as const;

/** A number of a queue, or -1. */
function ofQueue(record: RecordReader, value: number): number {
  return record.variant === queue ? value : -1;
}

const values: readonly EventValue[] = [
  {
    name: 'accept_queue_connections',
    description: 'Connections of the listener that wait for accept().',
    read: (record) => ofQueue(record, record.v1),
  },
  { name: 'accept_queue_max_connections', description: 'Most that may wait.', read: (record) => ofQueue(record, record.v2) },
  {
    name: 'oldest_wait_us',
    description: 'How long the oldest of them has waited.',
    read: (record) => ofQueue(record, record.x(x.oldestWaitUs)),
  },
  {
    name: 'listener_drops',
    description: 'SYNs and connections that the listener has dropped so far.',
    read: (record) => ofQueue(record, record.x(x.drops)),
  },
  {
    name: 'accept_wait_us',
    description: 'Time from the establishment of the connection to accept().',
    read: (record) => (record.variant === accepted ? record.v1 : -1),
  },
];

/** tcpaccept's records as events. */
export const tcpacceptEvent: EventDescription = {
  type: 'tcpaccept',
  probe: 5,
  category: ['network'],
  variants: new Map([
    [queue, { action: 'accept-queue', types: ['connection', 'info'], severity: 1 }],
    [accepted, { action: 'accept-slow', types: ['connection', 'info'], severity: 1 }],
  ]),
  reason: (record) => (record.variant === queue ? levelNames.get(record.code) : undefined),
  message: (record, names) => (record.variant === queue ? queueMessage(record, names) : acceptedMessage(record, names)),
  values,
  suppressed: (record) => record.v0,
};

function queueMessage(record: RecordReader, { local }: EventNames): string {
  const oldest = record.x(x.oldestWaitUs);
  const waiting = oldest === 0 ? '' : `, the oldest for ${latencyText(oldest)}`;
  const what = `the accept queue of ${local} on port ${record.sport}`;
  const how = `${record.v1} connections wait${waiting}, of ${record.v2} at most`;
  switch (record.code) {
    case levels.FULL:
      return `${what} is full: ${how}; more are dropped (${record.x(x.drops)} so far)`;
    case levels.STALLED:
      return `${what} stands still: ${how}`;
    default:
      return `${what} is filling: ${how}`;
  }
}

function acceptedMessage(record: RecordReader, { local, far }: EventNames): string {
  return `${local} accepted a connection from ${far} to port ${record.sport} only after ${latencyText(record.v1)}`;
}
