import { z } from 'zod';
import { live } from '../../core/config/traits.ts';
import { hostPort, isLoopback, parseHostPort } from '../../core/host-port.ts';
import { duration, size } from '../../core/quantity.ts';
import { tlsSchema } from '../../core/tls.ts';
import { probesConfig } from './probes-config.ts';

/** The network namespace of process 1. */
export const defaultHostNetns = '/proc/1/ns/net';

const criConfig = z
  .strictObject({
    socket: z
      .string()
      .default('auto')
      .describe(
        'Unix socket of the container runtime; auto: the first that is there of containerd, k3s, CRI-O, cri-dockerd; off: no Pods.',
      ),
    pollInterval: duration('1s').describe('How often the runtime is asked for its Pods and containers.'),
    events: z
      .enum(['auto', 'on', 'off'])
      .default('auto')
      .describe(
        'Whether the runtime’s event stream is read too; auto: with containerd from 2.0, where that takes no event from the kubelet.',
      ),
  })
  .prefault({});

const conntrackConfig = z
  .strictObject({
    lookups: z
      .enum(['on', 'off'])
      .default('on')
      .describe('Whether connection tracking is asked for the far ends behind translated addresses.'),
    rate: z.int().min(1).max(100_000).default(200).describe('Look-ups per second; what is beyond is counted.'),
  })
  .prefault({});

const gatewayAddress = z
  .strictObject({
    address: hostPort().optional().describe('TCP address of the gateway. Default: the Unix socket of the data folder.'),
    tls: tlsSchema.optional().describe('How to know the gateway, and to be known: its certificate names this node.'),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Whether to connect without tls to another machine. Whoever is between can read and write everything.'),
  })
  .superRefine(({ address, tls, allowPlaintext }, context) => {
    const refuse = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (tls !== undefined && address === undefined) refuse(['address'], 'found nothing beside tls, expected the address of a gateway');
    if (tls !== undefined && tls.cert === undefined)
      refuse(['tls', 'cert'], 'found nothing, expected the certificate of this node: the gateway asks for it');
    const host = parseHostPort(address ?? '')?.host;
    if (host === undefined || tls !== undefined || allowPlaintext || isLoopback(host)) return;
    refuse(
      ['tls'],
      `found nothing beside address: ${address}, expected cert and key for another machine (allowPlaintext: true does without)`,
    );
  })
  .prefault({});

export type GatewayAddress = z.output<typeof gatewayAddress>;

/** The `collector` section. */
export const collectorConfig = z
  .strictObject({
    gateway: gatewayAddress,
    drainInterval: duration('10ms').describe(
      'How often the reader thread empties the ring buffer; four times as seldom while it finds nothing.',
    ),
    transport: z
      .enum(['auto', 'ring', 'perf'])
      .default('auto')
      .describe(
        'How records leave the kernel: one ring buffer, or a perf buffer for each CPU; auto: a ring where the kernel has them (5.8).',
      ),
    hookSystemCalls: z
      .boolean()
      .default(false)
      .describe(
        'Whether a probe may look at every system call where the kernel offers nothing better: tcpaccept then measures waits for accept(), and each system call of the node takes about 0.1 µs longer.',
      ),
    batchSize: size('256KiB', { atLeast: '4KiB' }).describe('A batch of records is sent when it has this size ...'),
    batchLinger: duration('200ms').describe('... or when its first record has waited this long.'),
    heartbeatInterval: duration('1s').describe('How often a heartbeat is sent and the namespaces are looked at.'),
    keyframeInterval: duration('5m').describe('How often everything needed to start reading is repeated.'),
    counterInterval: duration('2s').describe('How often the counter maps are read for losses.'),
    sampleInterval: live(
      duration('2s', { atMost: '60s' }).describe(
        'How often all counters are read: /proc/net of each namespace, cgroups, listening sockets, probes. Stretched up to 10s when that costs more than 1.5 % of a core. Windows of rules that would hold fewer than two readings are longer then.',
      ),
    ),
    spoolSize: size('512MiB', { atLeast: '16MiB' }).describe(
      'Batches that the gateway has not acked; beyond, the oldest are given up and counted.',
    ),
    hostNetns: z
      .string()
      .default(defaultHostNetns)
      .describe('The network namespace of the node itself; another one where a node lives in a container, as with kind.'),
    cri: criConfig,
    conntrack: conntrackConfig,
    burst: live(
      z
        .int()
        .min(1)
        .max(1_000_000)
        .default(200)
        .describe('Events that a namespace may emit at once, per probe; what is beyond is counted.'),
    ),
    rate: live(z.int().min(1).max(1_000_000).default(50).describe('Events per second that a namespace may emit for long, per probe.')),
    probes: probesConfig,
  })
  .prefault({});

export type CollectorConfig = z.output<typeof collectorConfig>;
