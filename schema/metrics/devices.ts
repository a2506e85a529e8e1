import { byteCounters, counters, type FieldRows, gauges, under } from './row.ts';

const bothWays = (verb: string): FieldRows => ({
  ...byteCounters({ bytes: `Bytes ${verb} by the device.` }),
  ...counters({ packets: `Packets ${verb} by the device.`, compressed: `Compressed packets ${verb}.` }),
});

/** /proc/net/dev (struct rtnl_link_stats64). */
export const netdevRows: FieldRows = {
  ...under('Receive.', {
    ...bothWays('received'),
    ...counters({
      errs: 'Packets received with an error.',
      drop: 'Received packets that were dropped: no room, no handler, filter of the device.',
      fifo: 'Received packets lost to an overrun of the device.',
      frame: 'Received packets with a wrong length, checksum or alignment.',
      multicast: 'Multicast packets received.',
    }),
  }),
  ...under('Transmit.', {
    ...bothWays('sent'),
    ...counters({
      errs: 'Packets that could not be sent because of an error.',
      drop: 'Packets dropped on their way out of the device; drops of a queueing discipline are not among them.',
      fifo: 'Packets to be sent that were lost to an underrun of the device.',
      colls: 'Collisions.',
      carrier: 'Packets not sent because the carrier was lost, aborted or without heartbeat.',
    }),
  }),
};

/** /proc/net/softnet_stat (softnet_seq_show): the kernel prints no names; these are those of struct softnet_data. */
export const softnetRows: FieldRows = {
  ...counters({
    processed: 'Packets that the CPU took from its devices and backlog.',
    dropped: 'Packets dropped because the backlog of the CPU was full.',
    time_squeeze: 'Times that the CPU stopped receiving with work left, because budget or time was used up.',
    cpu_collision: 'Collisions at the lock of a device while sending (kernels before 4.7).',
    received_rps: 'Times that another CPU woke this one to process packets (RPS).',
    flow_limit_count: 'Packets dropped by the flow limit of the backlog.',
  }),
  ...gauges({
    backlog_len: 'Packets that wait in the backlog of the CPU.',
    input_qlen: 'Packets of the backlog that were not looked at yet.',
    process_qlen: 'Packets of the backlog that are being processed.',
  }),
};
