import { expect, onTestFinished } from 'vitest';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { freePort } from './support/free-port.ts';
import { LiveRun } from './support/live-run.ts';

/** Sum of a metric's series of a namespace. */
function sumOf(text: string, metric: string, netns: string): number {
  const ofNetns = text.split('\n').filter((line) => line.startsWith(`${metric}{`) && line.includes(`netns="${netns}"`));
  return ofNetns.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

kernelTest('under a loss of 10 % /metrics tells the retransmitted segments as the kernel counts them, from both of its hooks', async () => {
  const folder = temporaryFolder();
  onTestFinished(() => folder.remove());
  const here = new NetnsLab('-retrans');
  onTestFinished(() => here.remove());
  const { a, b } = here;
  const drop = 'add rule inet lab in tcp dport 9000 numgen random mod 100 < 10 drop';
  here.run(b, 'nft', `add table inet lab; add chain inet lab in { type filter hook input priority 0; }; ${drop}`);
  const address = `127.0.0.1:${await freePort()}`;
  const run = await LiveRun.start(folder.path, [`metrics.listen=${address}`]);
  onTestFinished(async () => void (await run.process.killHard()));
  const server = here.start(b, 'sink-server.mjs', b.ipv4, '9000');
  await server.line();
  const bytes = 5_000_000;
  const client = here.start(a, 'stream.mjs', a.ipv4, '31000', b.ipv4, '9000', String(bytes));
  expect(await server.line()).toEqual({ bytes });
  await client.stop();
  await eventually('the connection is over', () => here.run(a, 'ss', '-Htn', 'dport', '=', ':9000').trim() === '');

  const kernel = here.snmp(a).get('Tcp.RetransSegs') ?? 0;
  expect(kernel).toBeGreaterThan(20);
  let told = { source: 0, probe: 0 };
  const ask = async (): Promise<boolean> => {
    const text = await (await fetch(`http://${address}/metrics`)).text();
    told = {
      source: sumOf(text, 'jitterscope_snmp_tcp_retrans_segs_total', a.name),
      probe: sumOf(text, 'jitterscope_tcpretrans_segments_total', a.name),
    };
    return told.source >= kernel && told.probe >= kernel;
  };
  await eventually('both are as the kernel says', ask, () => ({ kernel, ...told, log: run.process.stderr.slice(-2000) }));
  expect(told).toEqual({ source: kernel, probe: kernel });
  process.stdout.write(`retransmits: ${kernel} segments by /proc/net/snmp, by /metrics and by the probe\n`);
});
