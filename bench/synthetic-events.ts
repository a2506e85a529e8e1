import { EventBatchWriter } from '../schema/event-batch.ts';

const batchBytes = 256 * 1024;
const types = ['tcpreset', 'tcpretrans', 'packetloss', 'tcplife'] as const;
const levels = ['', 'info', 'warning', 'critical'] as const;

/**
 * Messages of the events topic as the aggregator makes them, of up to 256 KiB: ECS documents of about 1.3 kB, four types,
 * three severities, 500 Pods of 20 nodes, 10 events a ms from `startS` (Unix s) on.
 */
export function* syntheticEventMessages(count: number, startS: number): Generator<Uint8Array> {
  const writer = new EventBatchWriter();
  let first = 0;
  for (let number = 0; number < count; number++) {
    writer.putLine(`${JSON.stringify(documentOf(number))}\n`);
    const { type, severity, node, pod, uid } = partsOf(number);
    const seconds = startS + Math.floor(number / 10_000);
    writer.add(seconds, (number % 10_000) * 100_000, number, 0, prefixOf(node), number, 1, type, severity, 'shop', pod, node, uid);
    if (writer.byteLength < batchBytes && number < count - 1) continue;
    yield writer.finish(first);
    writer.reset();
    first = number + 1;
  }
}

function prefixOf(node: string): string {
  return `9c1f0b7a52e4d${node.slice(-3).padStart(3, '0')}`;
}

function partsOf(number: number) {
  const pod = number % 500;
  return {
    type: types[number % types.length],
    severity: 1 + (number % 3),
    node: `node${100 + (pod % 20)}`,
    pod: `web-${pod}-7d4b9c`,
    uid: `0b7f5d52-6a0e-4b1e-9c53-0e5a2f0d${1000 + pod}`,
  };
}

/** An end of a connection. */
function endOf(ip: string, port: number, pod: string, uid: string, node: string) {
  return { ip, port, kubernetes: { namespace: 'shop', pod: { name: pod, uid }, node: { name: node } } };
}

function documentOf(number: number) {
  const { type, severity, node, pod, uid } = partsOf(number);
  const far = `client-${number % 313}`;
  return {
    '@timestamp': `2026-11-22T04:31:${String(number % 60).padStart(2, '0')}.${String(123_456_789 + number).slice(-9)}Z`,
    message: `shop/${pod} reset a connection from shop/${far}: no socket listens on port ${number % 1000}`,
    log: { level: levels[severity] },
    ecs: { version: '8.17.0' },
    event: {
      kind: 'event',
      category: ['network'],
      type: ['connection', 'denied'],
      action: 'reset-sent',
      reason: 'NO_SOCKET',
      id: `${prefixOf(node)}-${number}`,
      severity,
    },
    source: endOf(`10.244.${number % 20}.${number % 250}`, number % 65_535, pod, uid, node),
    destination: endOf(
      `10.245.${number % 30}.${number % 251}`,
      (number * 31) % 65_535,
      far,
      `7a1f9f10-30f9-4a5e-8a51-6a9d3b7a${1000 + (number % 313)}`,
      'node2',
    ),
    network: { type: 'ipv4', transport: 'tcp', direction: 'egress' },
    process: { pid: 1000 + (number % 5000), name: 'nginx', executable: '/usr/sbin/nginx' },
    host: { name: node },
    orchestrator: { type: 'kubernetes', cluster: { name: 'default' } },
    kubernetes: { namespace: 'shop', pod: { name: pod, uid }, node: { name: node }, labels: { app: 'web', tier: 'front', release: 'r42' } },
    jitterscope: {
      schema: 1,
      type,
      probe: type,
      netns: { name: '', cookie: 4101 + (number % 500), inode: 4_026_532_246 + (number % 500) },
      identity: { source: 'netns', destination: 'ip' },
      values: { srtt_ms: (number % 977) / 8, cwnd_segments: number % 64, bytes_in_flight: number % 65_536 },
      suppressed: 0,
    },
  };
}
