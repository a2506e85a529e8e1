import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { kernelTest, kernelTestsRun } from './kernel-tier.ts';
import { NetnsLab } from './netns-lab.ts';

let lab: NetnsLab;

beforeAll(() => {
  if (kernelTestsRun()) lab = new NetnsLab('-self');
});

afterAll(() => lab?.remove());

kernelTest.each(['ipv4', 'ipv6'] as const)(
  'a closed port refuses each connection over %s, from the local port that was asked for',
  async (family) => {
    const { outcomes } = await lab.result(lab.a, 'connect.mjs', lab.a[family], '20000', '40', lab.b[family], '81');
    expect(outcomes).toHaveLength(40);
    expect(new Set(outcomes as unknown[])).toEqual(
      new Set(Array.from({ length: 40 }, (_, index) => ({ localPort: 20_000 + index, outcome: 'ECONNREFUSED' }))),
    );
  },
);

kernelTest.each([
  ['linger', 'ipv4'],
  ['linger', 'ipv6'],
  ['unread', 'ipv4'],
  ['unread', 'ipv6'],
] as const)('the server resets by %s over %s', async (how, family) => {
  const server = lab.start(lab.b, 'abort-server.mjs', '::', '9000', how);
  expect(await server.line()).toEqual({ pid: server.pid, port: 9000 });
  const before = lab.snmp(lab.b).get('Tcp.OutRsts') as number;
  // Data that crosses the reset on its way would be answered by a second one.
  const when = how === 'linger' ? 'never' : 'once';
  const sent = await lab.result(lab.a, 'send.mjs', lab.a[family], '30000', lab.b[family], '9000', when);
  await server.stop();
  expect(sent).toMatchObject({ localPort: 30_000, outcome: 'ECONNRESET' });
  expect(lab.snmp(lab.b).get('Tcp.OutRsts')).toBe(before + 1);
});

kernelTest('a script that fails says why', async () => {
  await expect(lab.start(lab.a, 'send.mjs', 'nowhere', '1', 'nowhere', '1', 'once').line()).rejects.toThrow('nowhere');
});

kernelTest('nothing is left of a lab that was removed', async () => {
  const other = new NetnsLab('-gone');
  const server = other.start(other.a, 'abort-server.mjs', '::', '9000', 'linger');
  await server.line();
  await other.remove();
  await other.remove();
  expect([existsSync(other.a.path), existsSync(other.b.path), existsSync(`/proc/${server.pid}/fd/0`)]).toEqual([false, false, false]);
});
