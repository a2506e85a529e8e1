/** States of a TCP socket by number (include/net/tcp_states.h): part of the kernel's ABI, the same in all of them. */
export const tcpStateNames: ReadonlyMap<number, string> = new Map([
  [1, 'ESTABLISHED'],
  [2, 'SYN_SENT'],
  [3, 'SYN_RECV'],
  [4, 'FIN_WAIT1'],
  [5, 'FIN_WAIT2'],
  [6, 'TIME_WAIT'],
  [7, 'CLOSE'],
  [8, 'CLOSE_WAIT'],
  [9, 'LAST_ACK'],
  [10, 'LISTEN'],
  [11, 'CLOSING'],
  [12, 'NEW_SYN_RECV'],
]);
