import { expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { absentBus, checkRole, type Role, roles, runs } from './roles.ts';

const kafka = 'bus.type=kafka';
const gateway = 'collector.gateway.address=127.0.0.1:9';

test.each<[Role, string[], string | undefined]>([
  ['all', [], undefined],
  ['all', [kafka], undefined],
  ['gateway', [], 'ROLE_NEEDS_KAFKA'],
  ['aggregator', [], 'ROLE_NEEDS_KAFKA'],
  ['sinks', [], 'ROLE_NEEDS_KAFKA'],
  ['gateway', [kafka], 'ROLE_GATEWAY_UNREACHABLE'],
  ['gateway', [kafka, 'gateway.listen=127.0.0.1:0'], undefined],
  ['sinks', [kafka], undefined],
  ['collector', [kafka], 'ROLE_NEEDS_GATEWAY'],
  ['collector', [gateway], undefined],
])('the role %s with %j: %s', (role, set, code) => {
  const check = () => checkRole(role, readConfig({ set }));
  if (code === undefined) expect(check).not.toThrow();
  else expect(check).toThrow(expect.objectContaining({ code, exitCode: 78 }));
});

test('a process of role all runs every hop, one of another role only its own', () => {
  const hops = ['collector', 'gateway', 'aggregator', 'sinks'] as const;
  expect(hops.filter((hop) => runs('all', hop))).toEqual(hops);
  for (const role of roles.slice(1)) expect(hops.filter((hop) => runs(role, hop))).toEqual([role]);
});

test('who asks a collector for events is told where they are', async () => {
  await expect(absentBus.offsets('t', 0)).rejects.toMatchObject({ code: 'ROLE_WITHOUT_BUS' });
});
