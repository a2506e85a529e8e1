import { afterEach, beforeEach, expect } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { freePort } from './support/free-port.ts';
import { eventsOf, type LiveEvent, LiveRun } from './support/live-run.ts';

const drops = 50;
const filter = /^(nft_do_chain|nf_hook_slow)$/;

/** A dropped packet, as this test looks at it. */
type DropEvent = LiveEvent & {
  readonly message: string;
  readonly event: { readonly reason: string };
  readonly jitterscope: { readonly drop: { readonly site: string; readonly stack: readonly string[] } };
};

let folder: TemporaryFolder;
let lab: NetnsLab | undefined;
let run: LiveRun | undefined;

beforeEach(() => {
  folder = temporaryFolder();
  if (process.getuid?.() === 0) lab = new NetnsLab('-drops');
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  folder.remove();
});

kernelTest('from the kernel to the file and /metrics: each dropped packet has its reason, function and stack by name', async () => {
  const { a, b } = lab as NetnsLab;
  const chain =
    'add table inet lab; add chain inet lab in { type filter hook input priority 0; }; add rule inet lab in udp dport 7000 drop';
  (lab as NetnsLab).run(b, 'nft', chain);
  const address = `127.0.0.1:${await freePort()}`;
  run = await LiveRun.start(folder.path, [`metrics.listen=${address}`, 'collector.sampleInterval=2s']);
  await (lab as NetnsLab).result(a, 'udp.mjs', a.ipv4, '4000', b.ipv4, '7000', String(drops), '100');
  const dropped = () =>
    (eventsOf(folder.path, [b.name], 'packetloss') as DropEvent[]).filter(({ event }) => event.reason === 'NETFILTER_DROP');
  await eventually('all drops are in the file', () => dropped().length >= drops);

  expect(dropped()).toHaveLength(drops);
  for (const { message, source, destination, jitterscope } of dropped()) {
    expect(jitterscope.drop.site).toMatch(filter);
    expect(jitterscope.drop.stack[0]).toBe(jitterscope.drop.site);
    expect(jitterscope.drop.stack).toContain('ip_local_deliver');
    // Another lab of this machine may hold the same address: then nobody is named.
    const sender = message.includes(a.name) ? a.name : a.ipv4;
    expect(message).toBe(`${b.name} dropped a UDP packet from ${sender}:4000 to port 7000: NETFILTER_DROP in ${jitterscope.drop.site}`);
    expect([source, destination]).toMatchObject([
      { ip: b.ipv4, port: 7000 },
      { ip: a.ipv4, port: 4000 },
    ]);
  }
  expect(eventsOf(folder.path, [a.name], 'packetloss')).toEqual([]);

  const counted = new RegExp(
    `^jitterscope_packetloss_drops_total\\{.*netns="${b.name}",reason="NETFILTER_DROP",site="(\\w+)"\\} (\\d+)$`,
    'm',
  );
  let found: RegExpExecArray | null = null;
  await eventually('/metrics tells the drops', async () => {
    found = counted.exec(await (await fetch(`http://${address}/metrics`)).text());
    return found !== null;
  });
  const [, site, value] = found as unknown as RegExpExecArray;
  expect([site, value]).toEqual([dropped()[0].jitterscope.drop.site, String(drops)]);
});
