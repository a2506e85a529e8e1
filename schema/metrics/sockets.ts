import { type FieldRows, gauges, under } from './row.ts';

const inuse = (what: string): FieldRows => gauges({ inuse: `${what} sockets in use in the namespace.` });
const fragments = {
  ...gauges({ inuse: 'Datagrams that wait for fragments in the namespace.' }),
  ...gauges({ memory: 'Memory of fragments that wait for others.' }, 'bytes'),
};

/** /proc/net/sockstat: `alloc`, `orphan` and `mem` are of the whole node in every namespace. */
export const sockstatRows: FieldRows = {
  'sockets.used': { help: 'Sockets of all families in the namespace.', type: 'gauge' },
  ...under('TCP.', {
    ...inuse('TCP'),
    ...gauges({
      orphan: 'TCP sockets of the node that no process holds any more.',
      tw: 'TCP connections in TIME_WAIT in the namespace.',
      alloc: 'TCP sockets of the node that exist, whatever their state.',
    }),
    ...gauges({ mem: 'Memory of all TCP sockets of the node.' }, 'pages'),
  }),
  ...under('UDP.', { ...inuse('UDP'), ...gauges({ mem: 'Memory of all UDP sockets of the node.' }, 'pages') }),
  ...under('UDPLITE.', inuse('UDP-Lite')),
  ...under('RAW.', inuse('Raw')),
  ...under('FRAG.', fragments),
};

/** /proc/net/sockstat6 */
export const sockstat6Rows: FieldRows = {
  ...under('TCP6.', inuse('TCP over IPv6')),
  ...under('UDP6.', inuse('UDP over IPv6')),
  ...under('UDPLITE6.', inuse('UDP-Lite over IPv6')),
  ...under('RAW6.', inuse('Raw IPv6')),
  ...under('FRAG6.', fragments),
};

/** Listening TCP sockets by port, from sock_diag (inet_diag: idiag_rqueue, idiag_wqueue). */
export const sockdiagRows: FieldRows = under('accept_queue.', {
  ...gauges({
    length: 'Connections that wait to be accepted, over all listening sockets of the port.',
    limit: 'Connections that may wait to be accepted, over all listening sockets of the port.',
    listeners: 'Listening sockets of the port.',
  }),
  ...gauges({ fill: 'Length over limit of the fullest accept queue of the port.' }, 'ratio'),
});
