import type { RecordReader } from '../../schema/record.ts';
import type { EventDescription, EventNames } from '../event.ts';

const sent = 1;
const tcpSynSent = 2;

/**
 * What the kernel's reasons (include/net/rstreason.h; the names of skb_drop_reason where it maps them) mean to the
 * reader. `{port}` is the local port.
 */
const explanations: ReadonlyMap<string, string> = new Map([
  ['NO_SOCKET', 'no socket listens on port {port}'],
  ['TCP_INVALID_ACK_SEQUENCE', 'the ACK does not belong to the connection'],
  ['TCP_RFC7323_PAWS', 'the timestamp is too old (PAWS)'],
  ['TCP_TOO_OLD_ACK', 'the ACK is too old'],
  ['TCP_ACK_UNSENT_DATA', 'the ACK is for data that was never sent'],
  ['TCP_FLAGS', 'the TCP flags make no sense in this state'],
  ['TCP_OLD_ACK', 'the ACK is old'],
  ['TCP_ABORT_ON_DATA', 'data came for a socket that its application had closed'],
  ['TCP_TIMEWAIT_SOCKET', 'the connection is already in TIME_WAIT'],
  ['INVALID_SYN', 'a SYN came inside an open connection'],
  ['TCP_ABORT_ON_CLOSE', 'its application closed the socket with unread data'],
  ['TCP_ABORT_ON_LINGER', 'its application closed the socket with a negative TCP_LINGER2'],
  ['TCP_ABORT_ON_MEMORY', 'the kernel ran out of memory for orphaned sockets'],
  ['TCP_STATE', 'its application aborted the connection (SO_LINGER 0, or a second connect on the socket)'],
  ['TCP_KEEPALIVE_TIMEOUT', 'keepalive probes were not answered'],
  ['TCP_DISCONNECT_WITH_DATA', 'the socket was disconnected with data still to send'],
  ['MPTCP_RST_EUNSPEC', 'MPTCP: unspecified error'],
  ['MPTCP_RST_EMPTCP', 'MPTCP-specific error'],
  ['MPTCP_RST_ERESOURCE', 'MPTCP: lack of resources'],
  ['MPTCP_RST_EPROHIBIT', 'MPTCP: administratively prohibited'],
  ['MPTCP_RST_EWQ2BIG', 'MPTCP: too much outstanding data'],
  ['MPTCP_RST_EBADPERF', 'MPTCP: unacceptable performance'],
  ['MPTCP_RST_EMIDDLEBOX', 'MPTCP: a middlebox interfered'],
]);

/** tcpreset's records as events. */
export const tcpresetEvent: EventDescription = {
  type: 'tcpreset',
  probe: 1,
  category: ['network'],
  variants: new Map([
    [1, { action: 'reset-sent', types: ['connection', 'denied'], severity: 1 }],
    [2, { action: 'reset-received', types: ['connection', 'end'], severity: 1 }],
  ]),
  reason(record, names) {
    return record.variant === sent ? names.enumName('sk_rst_reason', record.code) : undefined;
  },
  message(record, names) {
    return record.variant === sent ? sentMessage(record, names) : receivedMessage(record, names);
  },
  suppressed: (record) => record.v0,
};

function sentMessage(record: RecordReader, names: EventNames): string {
  const name = names.enumName('sk_rst_reason', record.code);
  const explanation = name === undefined ? undefined : explanations.get(name);
  const what = `${names.local} reset a connection from ${names.far}`;
  if (explanation !== undefined) return `${what}: ${explanation.replace('{port}', String(record.sport))}`;
  return name === undefined || name === 'NOT_SPECIFIED' ? what : `${what}: ${name}`;
}

function receivedMessage(record: RecordReader, names: EventNames): string {
  return record.state === tcpSynSent
    ? `${names.far} refused a connection from ${names.local} to port ${record.dport}`
    : `${names.far} reset a connection with ${names.local}`;
}
