import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ContainerdLab, type LabPod } from './lab/containerd-lab.ts';
import { kernelTest, kernelTestsRun } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { entityOf, type FindingDocument, findingsIn } from './support/findings.ts';
import { freePort } from './support/free-port.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { LiveRun } from './support/live-run.ts';
import { patiently } from './support/patiently.ts';

const folder = temporaryFolder();
const limitMs = 150_000;
const able = kernelTestsRun();
let pods:
  | { readonly lab: ContainerdLab; readonly web: LabPod; readonly slow: LabPod; readonly client: LabPod; readonly caller: LabPod }
  | undefined;
let cable: NetnsLab | undefined;
let run: LiveRun | undefined;
let metricsAddress = '';

beforeAll(async () => {
  if (!able) return;
  cable = new NetnsLab('-findings');
  const lab = await ContainerdLab.start('findings');
  const [web, slow, client, caller] = [
    await lab.addPod({ name: 'web-0' }),
    await lab.addPod({ name: 'slow-0', cpuLimit: 0.1 }),
    await lab.addPod({ name: 'client-0' }),
    await lab.addPod({ name: 'caller-0' }),
  ];
  pods = { lab, web, slow, client, caller };
  metricsAddress = `127.0.0.1:${await freePort()}`;
  const settings = [`collector.cri.socket=${lab.socket}`, `collector.hostNetns=${lab.netns}`, `metrics.listen=${metricsAddress}`];
  run = await LiveRun.start(folder.path, settings);
});

afterAll(async () => {
  await run?.process.killHard();
  await pods?.lab.remove();
  await cable?.remove();
  folder.remove();
});

/** Steps of the findings of a rule about an entity, in order. */
function found(rule: string, entity: string): FindingDocument[] {
  return findingsIn(folder.path).filter((finding) => finding.rule.id === rule && entityOf(finding) === entity);
}

/** Waits for the first step of a kind. */
async function step(rule: string, entity: string, action: FindingDocument['event']['action']): Promise<FindingDocument> {
  const find = (): FindingDocument | undefined => found(rule, entity).find(({ event }) => event.action === action);
  await patiently(`${rule} of ${entity} is ${action}`, limitMs, () => find() !== undefined);
  return find() as FindingDocument;
}

const secondsBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;

kernelTest('a listener that never accepts is found with its Pod and port, and is over once it accepts again', async () => {
  const { lab, web, client } = pods as NonNullable<typeof pods>;
  const server = lab.startIn(web, 'accept-server.mjs', web.ip, '8080', '8', '0');
  const { pid } = await server.line();
  process.kill(Number(pid), 'SIGSTOP');
  const began = performance.now();
  const callers = lab.startIn(client, 'callers.mjs', web.ip, '8080', '6', '150', 'hold');

  const opened = await step('accept-queue-saturation', 'shop/web-0', 'anomaly-opened');
  process.stdout.write(
    `findings: accept-queue-saturation opened ${((performance.now() - began) / 1000).toFixed(1)} s after the first connect\n`,
  );
  expect(opened.message).toMatch(/^shop\/web-0: accept queue of port 8080 is full, [\d.]+\/s connections dropped$/);
  expect(opened.jitterscope.by).toMatchObject({ fill: '8080' });
  expect(opened.log.level).toMatch(/warning|critical/);
  expect(opened.jitterscope.anomaly.samples?.length).toBeGreaterThan(0);
  expect(opened.jitterscope.peers?.[0].name).toBe('shop/client-0');

  process.kill(Number(pid), 'SIGCONT');
  const resolved = await step('accept-queue-saturation', 'shop/web-0', 'anomaly-resolved');
  expect(resolved.event.reason).toBe('CONDITION_ENDED');
  expect(resolved.jitterscope.anomaly.id).toBe(opened.jitterscope.anomaly.id);
  expect(resolved.event.start).toBe(opened.event.start);
  process.stdout.write(`findings: resolved, ${secondsBetween(opened.event.start, resolved['@timestamp'])} s after it began\n`);
  await callers.stop();
  await server.stop();
});

kernelTest('a server whose CPU is throttled: its full accept queue says so, and shows its cause', async () => {
  const { lab, slow, client } = pods as NonNullable<typeof pods>;
  const server = lab.startIn(slow, 'hungry-server.mjs', slow.ip, '8080', '8', '60');
  await server.line();
  const callers = lab.startIn(client, 'callers.mjs', slow.ip, '8080', '12', '1200');

  const cause = await step('cpu-throttled-network', 'shop/slow-0', 'anomaly-opened');
  expect(cause.message).toMatch(/^shop\/slow-0 is throttled in \d+(\.\d+)? % of its CPU periods/);
  await step('accept-queue-saturation', 'shop/slow-0', 'anomaly-opened');
  const told = (): FindingDocument | undefined =>
    found('accept-queue-saturation', 'shop/slow-0').find(({ jitterscope }) => jitterscope.anomaly.caused_by !== undefined);
  await patiently('the cause is told', limitMs, () => told() !== undefined);
  expect(told()?.jitterscope.anomaly.caused_by).toEqual(['cpu-throttled-network']);
  expect(
    told()
      ?.jitterscope.evidence?.map(({ text }) => text)
      .join('\n'),
  ).toMatch(/its CPU is throttled in \d+/);
  await callers.stop();
  await server.stop();
});

kernelTest('a hundred refused connects are one finding, with both ends named', async () => {
  const { lab, web, caller } = pods as NonNullable<typeof pods>;
  const callers = lab.startIn(caller, 'callers.mjs', web.ip, '81', '50', '100');
  await callers.line();
  expect(await callers.line()).toEqual({ opened: 0, refused: 100, givenUp: 0, others: 0 });

  const opened = await step('connect-failures', 'shop/caller-0', 'anomaly-opened');
  // On a busy machine it opens before the last one is refused.
  expect(opened.message).toMatch(
    /^shop\/caller-0 cannot connect, most often to shop\/web-0 port 81: within a minute (100|[1-9]\d) connects were refused/,
  );
  await step('connect-failures', 'shop/caller-0', 'anomaly-resolved');
  expect(found('connect-failures', 'shop/caller-0').filter(({ event }) => event.action === 'anomaly-opened')).toHaveLength(1);
  expect(findingsIn(folder.path).filter(({ rule, message }) => rule.id !== 'connect-failures' && message.includes('port 81:'))).toEqual([]);
});

kernelTest('packets that a filter drops are a finding with the reason and the function', async () => {
  const { lab, web, client } = pods as NonNullable<typeof pods>;
  const chain =
    'add table inet lab; add chain inet lab in { type filter hook input priority 0; }; add rule inet lab in udp dport 7000 drop';
  lab.runIn(web, 'nft', chain);
  const sender = lab.startIn(client, 'udp-pace.mjs', web.ip, '7000', '10', '400');

  const opened = await step('packet-drops', 'shop/web-0', 'anomaly-opened');
  expect(opened.message).toMatch(
    /^shop\/web-0: [\d.]+\/s packets are dropped, most often NETFILTER_DROP in (nft_do_chain|nf_hook_slow); the far end seen most is shop\/client-0$/,
  );
  expect(opened.jitterscope.by).toMatchObject({ worst_reason: 'NETFILTER_DROP', port: '7000' });
  expect(opened.log.level).toBe('warning');
  await sender.stop();
});

kernelTest('a loss of 10 % is found with the far end to which it is lost', async () => {
  const { a, b } = cable as NetnsLab;
  const drop = 'add rule inet lab in tcp dport 9000 numgen random mod 100 < 10 drop';
  (cable as NetnsLab).run(b, 'nft', `add table inet lab; add chain inet lab in { type filter hook input priority 0; }; ${drop}`);
  // What a namespace that is older than the collector counted before its first reading is no increment.
  await patiently('the counters of the sender have been read', limitMs, async () => {
    const text = await (await fetch(`http://${metricsAddress}/metrics`)).text();
    return new RegExp(`^jitterscope_snmp_tcp_retrans_segs_total\\{.*netns="${a.name}"`, 'm').test(text);
  });
  const server = (cable as NetnsLab).start(b, 'sink-server.mjs', b.ipv4, '9000');
  await server.line();
  (cable as NetnsLab).start(a, 'stream.mjs', a.ipv4, '31000', b.ipv4, '9000', '8000000');

  expectLoss(await step('tcp-retransmission-high', a.name, 'anomaly-opened'), a.name, b.name);
  await (cable as NetnsLab).stop();
});

/** A finding of 10 % loss on the way from one namespace to another. */
function expectLoss(opened: FindingDocument, from: string, to: string): void {
  const [, percent, peer] = /: ([\d.]+) % of its TCP segments were sent again in 2 min, most of them to (\S+)$/.exec(opened.message) ?? [];
  expect(opened.log.level).not.toBe('info');
  expect(opened.message.startsWith(`${from}: `)).toBe(true);
  expect(Number(percent)).toBeGreaterThan(1);
  // Another lab of this machine may hold the same address: then nobody is named.
  expect([to, '198.51.100.2']).toContain(peer);
  expect(opened.jitterscope.values?.worst_segments).toBeGreaterThan(0);
}

test('a recorded loss of 10 % is found when it is replayed', async () => {
  const capture = fileURLToPath(new URL('../examples/captures/loss-10-percent.jscap.gz', import.meta.url));
  const dataDir = folder.fresh('replayed');
  const replayed = new JitterscopeProcess(['replay', capture, '--data-dir', dataDir, '--quiet', '--set', 'metrics.listen=off']);
  expect((await replayed.ended).code).toBe(0);
  const losses = findingsIn(dataDir).filter(
    ({ rule, event }) => rule.id === 'tcp-retransmission-high' && event.action === 'anomaly-opened',
  );
  expect(losses).toHaveLength(1);
  expectLoss(losses[0], entityOf(losses[0]), 'lab-receiver');
});
