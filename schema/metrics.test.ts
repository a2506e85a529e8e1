import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { snakeCase } from './metrics/metric-name.ts';
import { describeMetric, knownFields } from './metrics.ts';

const known = [...knownFields()];
const descriptions = known.map(({ source, field }) => ({ source, field, ...describeMetric(source, field) }));

/** Fields of two-line files, as this kernel prints them: Tcp.RetransSegs. */
function pairedFields(file: string): string[] {
  const lines = readFileSync(`/proc/net/${file}`, 'utf8').trimEnd().split('\n');
  return lines
    .filter((_, index) => index % 2 === 0)
    .flatMap((line) => {
      const [protocol, fields] = line.split(': ');
      return (fields ?? '').split(' ').map((field) => `${protocol}.${field}`);
    });
}

const ofThisKernel: [string, string][] = [
  ...pairedFields('snmp').map((field): [string, string] => ['snmp', field]),
  ...pairedFields('netstat').map((field): [string, string] => ['netstat', field]),
  ...readFileSync('/proc/net/snmp6', 'utf8')
    .trimEnd()
    .split('\n')
    .map((line): [string, string] => ['snmp6', line.split(/\s/)[0] ?? '']),
];

test('names say source, protocol, field, unit and kind', () => {
  const names: [string, string, string][] = [
    ['snmp', 'Tcp.RetransSegs', 'jitterscope_snmp_tcp_retrans_segs_total'],
    ['snmp', 'Tcp.CurrEstab', 'jitterscope_snmp_tcp_curr_estab'],
    ['snmp', 'Tcp.RtoMin', 'jitterscope_snmp_tcp_rto_min_seconds'],
    ['snmp', 'Ip.DefaultTTL', 'jitterscope_snmp_ip_default_ttl'],
    ['snmp', 'IcmpMsg.InType3', 'jitterscope_snmp_icmp_msg_in_type3_total'],
    ['snmp', 'UdpLite.InDatagrams', 'jitterscope_snmp_udp_lite_in_datagrams_total'],
    ['netstat', 'TcpExt.ListenOverflows', 'jitterscope_netstat_tcp_ext_listen_overflows_total'],
    ['netstat', 'TcpExt.DelayedACKs', 'jitterscope_netstat_tcp_ext_delayed_acks_total'],
    ['netstat', 'TcpExt.TCPACKSkippedPAWS', 'jitterscope_netstat_tcp_ext_tcp_ack_skipped_paws_total'],
    ['netstat', 'TcpExt.TCPMTUPFail', 'jitterscope_netstat_tcp_ext_tcp_mtup_fail_total'],
    ['netstat', 'TcpExt.TCPSpuriousRTOs', 'jitterscope_netstat_tcp_ext_tcp_spurious_rtos_total'],
    ['netstat', 'TcpExt.TCPMemoryPressuresChrono', 'jitterscope_netstat_tcp_ext_tcp_memory_pressures_chrono_seconds_total'],
    ['netstat', 'IpExt.InOctets', 'jitterscope_netstat_ip_ext_in_bytes_total'],
    ['netstat', 'MPTcpExt.MPCapableSYNRX', 'jitterscope_netstat_mptcp_ext_mp_capable_syn_rx_total'],
    ['netstat', 'MPTcpExt.MPCapableSYNTXDrop', 'jitterscope_netstat_mptcp_ext_mp_capable_syn_tx_drop_total'],
    ['netstat', 'MPTcpExt.MPJoinAckHMacFailure', 'jitterscope_netstat_mptcp_ext_mp_join_ack_hmac_failure_total'],
    ['netstat', 'MPTcpExt.MPTCPRetrans', 'jitterscope_netstat_mptcp_ext_mptcp_retrans_total'],
    ['netstat', 'MPTcpExt.MPCurrEstab', 'jitterscope_netstat_mptcp_ext_mp_curr_estab'],
    ['snmp6', 'Ip6ReasmOKs', 'jitterscope_snmp6_ip6_reasm_oks_total'],
    ['snmp6', 'Icmp6InMLDv2Reports', 'jitterscope_snmp6_icmp6_in_mldv2_reports_total'],
    ['snmp6', 'Ip6OutMcastOctets', 'jitterscope_snmp6_ip6_out_mcast_bytes_total'],
    ['sockstat', 'TCP.mem', 'jitterscope_sockstat_tcp_mem_pages'],
    ['sockstat', 'FRAG.memory', 'jitterscope_sockstat_frag_memory_bytes'],
    ['sockstat6', 'TCP6.inuse', 'jitterscope_sockstat6_tcp6_inuse'],
    ['netdev', 'Receive.bytes', 'jitterscope_netdev_receive_bytes_total'],
    ['netdev', 'Transmit.colls', 'jitterscope_netdev_transmit_colls_total'],
    ['softnet', 'time_squeeze', 'jitterscope_softnet_time_squeeze_total'],
    ['softnet', 'backlog_len', 'jitterscope_softnet_backlog_len'],
    ['cgroup', 'cpu.nr_throttled', 'jitterscope_cgroup_cpu_nr_throttled_total'],
    ['cgroup', 'cpu.throttled_usec', 'jitterscope_cgroup_cpu_throttled_seconds_total'],
    ['cgroup', 'memory.current', 'jitterscope_cgroup_memory_current_bytes'],
    ['cgroup', 'memory.events.oom_kill', 'jitterscope_cgroup_memory_events_oom_kill_total'],
    ['cgroup', 'memory.stat.anon', 'jitterscope_cgroup_memory_stat_anon_bytes'],
    ['sockdiag', 'accept_queue.fill', 'jitterscope_sockdiag_accept_queue_fill_ratio'],
  ];
  expect(names.map(([source, field]) => [source, field, describeMetric(source, field).name])).toEqual(names);
});

test('no two fields share a name, names are valid, and kind and unit are what the name says', () => {
  const all = [...descriptions, ...ofThisKernel.map(([source, field]) => ({ source, field, ...describeMetric(source, field) }))];
  const fieldOf = new Map<string, string>();
  for (const { source, field, name, type, unit } of all) {
    expect(name).toMatch(/^jitterscope(_[a-z0-9]+)+$/);
    expect(fieldOf.get(name) ?? `${source} ${field}`, name).toBe(`${source} ${field}`);
    fieldOf.set(name, `${source} ${field}`);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (unit !== undefined) expect(name).toMatch(new RegExp(`_${unit}(_total)?$`));
  }
});

test('the catalogue knows what this kernel prints', () => {
  const unknown = ofThisKernel.filter(([source, field]) => !describeMetric(source, field).known);
  // A newer kernel may print more; those that the catalogue was written on print nothing else.
  expect(unknown.map(([source, field]) => `${source} ${field}`)).toEqual([]);
});

test('help is one line that names the field, and where it is defined', () => {
  for (const { field, help } of descriptions) {
    expect(help).toMatch(/^[^\n]{10,200}$/);
    expect(help).toContain(field);
  }
  expect(describeMetric('snmp', 'Tcp.RetransSegs').help).toBe(
    'Segments retransmitted. (RFC 4022 tcpRetransSegs; /proc/net/snmp Tcp.RetransSegs)',
  );
  expect(describeMetric('snmp6', 'Ip6InReceives').help).toContain('RFC 4293 ipIfStatsInReceives');
  expect(describeMetric('snmp', 'IcmpMsg.OutType11').help).toContain('of type 11 sent');
});

test('a field that nobody knows is shown as it is, of unknown type, and says so', () => {
  expect(describeMetric('netstat', 'TcpExt.TCPNewThing')).toEqual({
    name: 'jitterscope_netstat_tcp_ext_tcp_new_thing',
    type: 'unknown',
    scale: 1,
    help: '/proc/net/netstat TcpExt.TCPNewThing: a field that this version does not know, as the kernel prints it.',
    known: false,
  });
  expect(describeMetric('toString', 'constructor').known).toBe(false);
  expect(describeMetric('snmp', 'constructor').known).toBe(false);
});

test('whatever a field is called, its name is valid', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (field) => {
      expect(describeMetric('netstat', field).name).toMatch(/^jitterscope_netstat(_[a-z0-9]+)*$/);
    }),
  );
  expect(describeMetric('netstat', 'a b').name).not.toBe(describeMetric('netstat', 'a-b').name);
});

test('snake case keeps words together', () => {
  expect(['InECT0Pkts', 'OutRsts', 'TW', 'nr_periods', 'TCPMD5NotFound', 'IPReversePathFilter'].map(snakeCase)).toEqual([
    'in_ect0_pkts',
    'out_rsts',
    'tw',
    'nr_periods',
    'tcp_md5_not_found',
    'ip_reverse_path_filter',
  ]);
});
