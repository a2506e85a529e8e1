import type { RecordReader } from '../../schema/record.ts';
import type { EventDescription, EventNames, EventValue } from '../event.ts';
import { latencyText, nonZero } from '../event-words.ts';
import { connectFailures, endingNames, endings, errnos, failureNames } from './names.ts';

const failed = 1;
const slow = 2;
const closed = 3;

/** enum tail_word of tcplife.bpf.c */
const x = {
  durationUs: 0,
  bytesSent: 1,
  bytesReceived: 2,
  segmentsSent: 3,
  segmentsReceived: 4,
  segmentsRetransmitted: 5,
  errno: 6,
} as const;

/** A number of a connect, or -1. */
function ofConnect(record: RecordReader, value: number): number {
  return record.variant === closed ? -1 : value;
}

/** A number of a closed connection, or -1. */
function ofClosed(record: RecordReader, word: number): number {
  return record.variant === closed ? record.x(word) : -1;
}

function errnoOf(record: RecordReader): number {
  if (record.variant === closed) return nonZero(record.x(x.errno));
  return record.variant === failed && record.code < connectFailures.ABORTED ? record.code : -1;
}

const values: readonly EventValue[] = [
  {
    name: 'srtt_us',
    description: 'Smoothed round-trip time when the connection was closed; absent before the first measurement.',
    read: (record) => (record.variant === closed ? nonZero(record.v1) : -1),
  },
  { name: 'errno', description: 'Error that the kernel gave the application.', read: errnoOf },
  {
    name: 'connect_us',
    description: 'Time from connect() to the connection, or to its failure.',
    read: (record) => ofConnect(record, record.v1),
  },
  { name: 'syn_retransmits', description: 'How often the SYN was sent again.', read: (record) => ofConnect(record, record.v2) },
  {
    name: 'duration_us',
    description: 'Time from the establishment to the end; absent when the connection is older than the probe.',
    read: (record) => nonZero(ofClosed(record, x.durationUs)),
  },
  {
    name: 'sent_bytes',
    description: 'Bytes of the application that the far end acknowledged.',
    read: (record) => ofClosed(record, x.bytesSent),
  },
  { name: 'received_bytes', description: 'Bytes received for the application.', read: (record) => ofClosed(record, x.bytesReceived) },
  {
    name: 'sent_segments',
    description: 'Segments sent, those sent again included.',
    read: (record) => ofClosed(record, x.segmentsSent),
  },
  { name: 'received_segments', description: 'Segments received.', read: (record) => ofClosed(record, x.segmentsReceived) },
  {
    name: 'retransmitted_segments',
    description: 'Segments sent again.',
    read: (record) => ofClosed(record, x.segmentsRetransmitted),
  },
];

/** tcplife's records as events. */
export const tcplifeEvent: EventDescription = {
  type: 'tcplife',
  probe: 4,
  category: ['network'],
  variants: new Map([
    [failed, { action: 'connect-failed', types: ['connection', 'error'], severity: 1 }],
    [slow, { action: 'connect-slow', types: ['connection', 'info'], severity: 1 }],
    [closed, { action: 'connection-closed', types: ['connection', 'end'], severity: 1 }],
  ]),
  reason(record) {
    if (record.variant === failed) return failureNames.get(record.code) ?? `errno ${record.code}`;
    return record.variant === closed ? endingNames.get(record.code) : undefined;
  },
  message(record, names) {
    if (record.variant === failed) return failedMessage(record, names);
    return record.variant === slow ? slowMessage(record, names) : closedMessage(record, names);
  },
  values,
  suppressed: (record) => record.v0,
};

/** What the errno of a connect means to the reader. */
const explanations: ReadonlyMap<number, string> = new Map([
  [errnos.ECONNREFUSED, 'refused (ECONNREFUSED)'],
  [errnos.ETIMEDOUT, 'no answer (ETIMEDOUT)'],
  [errnos.EHOSTUNREACH, 'host unreachable or prohibited on the way (EHOSTUNREACH)'],
  [errnos.ENETUNREACH, 'network unreachable (ENETUNREACH)'],
  [errnos.ECONNABORTED, 'ended by an administrator (ECONNABORTED)'],
]);

function failedMessage(record: RecordReader, { local, far }: EventNames): string {
  const to = `${far}:${record.dport}`;
  if (record.code === connectFailures.NOT_SENT)
    return `${local} could not connect to ${to}: connect() failed before a SYN was sent (no free local port, no route)`;
  const after = `after ${latencyText(record.v1)}${synText(record)}`;
  if (record.code === connectFailures.ABORTED) return `${local} gave up connecting to ${to}: it closed the socket ${after}`;
  const why = explanations.get(record.code) ?? failureNames.get(record.code) ?? `errno ${record.code}`;
  return `${local} could not connect to ${to}: ${why} ${after}`;
}

function slowMessage(record: RecordReader, { local, far }: EventNames): string {
  return `${local} took ${latencyText(record.v1)} to connect to ${far}:${record.dport}${synText(record)}`;
}

function synText(record: RecordReader): string {
  return record.v2 === 0 ? '' : `, its SYN sent ${record.v2 + 1} times`;
}

const endingTexts: ReadonlyMap<number, string> = new Map([
  [endings.LOCAL_FIN, 'was closed by this end'],
  [endings.FAR_FIN, 'was closed by the far end'],
  [endings.RESET_SENT, 'was reset by this end'],
  [endings.RESET_RECEIVED, 'was reset by the far end'],
  [endings.RESET_AFTER_CLOSE, 'was reset after this end had closed it'],
  [endings.TIMED_OUT, 'timed out: the far end no longer answered'],
  [endings.ERROR, 'ended with an error'],
]);

function closedMessage(record: RecordReader, { local, far }: EventNames): string {
  const ending = endingTexts.get(record.code) ?? 'ended';
  const errno = record.code === endings.ERROR ? ` (${failureNames.get(record.x(x.errno)) ?? `errno ${record.x(x.errno)}`})` : '';
  const duration = record.x(x.durationUs);
  const after = duration === 0 ? '' : ` after ${latencyText(duration)}`;
  const again = record.x(x.segmentsRetransmitted);
  const segments = again === 0 ? '' : `; ${again} of ${record.x(x.segmentsSent)} segments were sent again`;
  return `the connection of ${local} with ${far} ${ending}${errno}${after}${segments}`;
}
