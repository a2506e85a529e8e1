import { existsSync, readFileSync } from 'node:fs';
import { messageOf } from '../core/app-error.ts';
import type { Native } from '../native/addon.ts';
import { loadNative } from '../native/index.ts';
import { type CapabilityName, heldCapabilities } from './capabilities.ts';
import type { Config } from './config.ts';
import type { Finding } from './finding.ts';

/** Node and the addon; the addon is undefined where it cannot be loaded. */
export function addonFindings(): { readonly native: Native | undefined; readonly findings: Finding[] } {
  const findings: Finding[] = [{ area: 'system', what: 'Node', state: 'ok', found: process.version }];
  try {
    const native = loadNative();
    findings.push({ area: 'system', what: 'native addon', state: 'ok', found: `libbpf ${native.libbpfVersion()}` });
    return { native, findings };
  } catch (thrown) {
    findings.push({ area: 'system', what: 'native addon', state: 'failed', found: messageOf(thrown), remedy: 'npm run build' });
    return { native: undefined, findings };
  }
}

/** Something that newer kernels have. */
interface KernelFeature {
  readonly what: string;
  /** What it is for. */
  readonly gives: string;
  readonly without: string;
  /** Kernel that has it first. */
  readonly since: string;
  has(native: Native): boolean;
}

const features: readonly KernelFeature[] = [
  {
    what: 'ring buffers',
    gives: 'one ring for the records of all CPUs, in their order',
    without: 'a perf buffer for each CPU',
    since: '5.8',
    has: (native) => native.enumValues('bpf_map_type')?.some(([, name]) => name === 'BPF_MAP_TYPE_RINGBUF') ?? false,
  },
  {
    what: 'namespace cookies',
    gives: 'namespaces are told apart for ever',
    without: 'namespaces are told by inode, which the kernel uses again',
    since: '5.12',
    has: (native) => native.hasMember('net', 'net_cookie'),
  },
  {
    what: 'storage in sockets',
    gives: 'the process that owns a socket, and how long its connection lives',
    without: 'no owners of sockets, no tcplife',
    since: '5.11',
    has: (native) => native.hasMember('sock', 'sk_bpf_storage'),
  },
  {
    what: 'reasons of drops',
    gives: 'why a packet was dropped',
    without: 'only the place in the code tells drops apart',
    since: '5.17',
    has: (native) => native.enumValues('skb_drop_reason') !== undefined,
  },
  {
    what: 'reasons of resets',
    gives: 'why a reset was sent',
    without: 'resets without reason',
    since: '6.10',
    has: (native) => native.enumValues('sk_rst_reason') !== undefined,
  },
  {
    what: 'accept queues as they fill',
    gives: 'the tracepoint sk_data_ready',
    without: 'accept queues are seen once they are full',
    since: '6.3',
    has: (native) => (native.tracepointArgs('sk_data_ready') ?? 0) >= 1,
  },
];

/** What this kernel offers, whatever this process may use of it. */
export function* kernelFindings(native: Native | undefined): Generator<Finding> {
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  const btf = existsSync('/sys/kernel/btf/vmlinux');
  yield {
    area: 'kernel',
    what: release,
    state: btf ? 'ok' : 'failed',
    found: `${btf ? 'with' : 'without'} BTF`,
    ...(btf ? {} : { remedy: 'Probes need a kernel with CONFIG_DEBUG_INFO_BTF, as Debian 11, Ubuntu 20.10 and later have.' }),
  };
  if (native === undefined || !btf) return;
  for (const { what, gives, without, since, has } of features) {
    if (has(native)) yield { area: 'kernel', what, state: 'ok', found: gives };
    else yield { area: 'kernel', what, state: 'degraded', found: `not here: ${without}`, remedy: `Kernels have them from ${since} on.` };
  }
}

/** What a capability is for, here. */
interface Privilege {
  readonly name: CapabilityName;
  readonly needed: string;
  /** What becomes of what was asked for without it: all of it is missing, or some. */
  readonly state: Finding['state'];
}

/** Capability by capability: what it is for with this configuration, and whether this process has it. */
export function* privilegeFindings({ collector }: Pick<Config, 'collector'>): Generator<Finding> {
  const held = heldCapabilities();
  const lookups = collector.conntrack.lookups === 'on';
  const privileges: Privilege[] = [
    { name: 'CAP_BPF', needed: 'loads probes, and reads what they count', state: 'failed' },
    { name: 'CAP_PERFMON', needed: 'attaches probes to tracepoints, and lets them read the kernel’s memory', state: 'failed' },
    {
      name: 'CAP_SYS_ADMIN',
      needed: 'enters other network namespaces: their counters, addresses, listening sockets, and those that no process lives in',
      state: 'failed',
    },
    {
      name: 'CAP_NET_ADMIN',
      needed: lookups ? 'asks connection tracking who is behind a translated address' : 'nothing: collector.conntrack.lookups is off',
      state: lookups ? 'degraded' : 'ok',
    },
    { name: 'CAP_SYS_PTRACE', needed: 'opens the namespaces of other users’ processes', state: 'degraded' },
    { name: 'CAP_SYSLOG', needed: 'reads the addresses of the kernel’s functions: where a packet was dropped', state: 'degraded' },
  ];
  if (collector.transport === 'perf')
    privileges.push({
      name: 'CAP_IPC_LOCK',
      needed: 'locks the memory of the perf buffers (collector.transport: perf)',
      state: 'degraded',
    });
  for (const { name, needed, state } of privileges) {
    const has = held.has(name);
    const missing = has ? {} : { remedy: `Run as root, or give the process ${name}.` };
    yield { area: 'privilege', what: name, state: has ? 'ok' : state, found: `${has ? 'held' : 'missing'}: ${needed}`, ...missing };
  }
}
