import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Probe } from '../../bpf/probe.ts';
import { defaultSettings } from '../../bpf/settings.ts';
import { createLog } from '../../core/log.ts';
import type { ProbeStatus } from './hosted-probe.ts';
import type { NetnsChoice } from './netns-filter.ts';
import { ProbeOrders } from './probe-orders.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const remedies = { failed: 'Missing capability CAP_BPF', broken: 'rebuild' };

/** A node whose host only remembers what it was told. */
function nodeOf() {
  const running = new Map<string, ProbeStatus>();
  const choices: [string, string, number[]][] = [];
  const pods = new Map<string, number[]>([
    ['shop/web-0', [11]],
    ['shop/node-agent', [0]],
  ]);
  const netns = new Map<string, number[]>([['demo-web', [21]]]);
  const status = (name: string, state: ProbeStatus['state']): ProbeStatus => {
    const problems = name in remedies ? [{ what: name, reason: 'because', remedy: remedies[name as keyof typeof remedies] }] : [];
    const row = { name, state, attached: state === 'enabled' ? ['program'] : [], problems: state === 'failed' ? problems : [] };
    running.set(name, row);
    return row;
  };
  const enable = (name: string): ProbeStatus => status(name, name in remedies ? 'failed' : 'enabled');
  const orders = new ProbeOrders({
    host: {
      start: ({ name }, _, enabled) => (enabled === false ? status(name, 'disabled') : enable(name)),
      enable,
      disable: (name) => Promise.resolve(status(name, 'disabled')),
      choose: (name: string, { mode, netns: chosen }: NetnsChoice) => void choices.push([name, mode, [...chosen]]),
      status: () => [...running.values()],
    },
    identity: {
      netnsOf: (target) => (pods.get(target) ?? netns.get(target))?.filter((cookie) => cookie !== 0),
      onHostNetwork: (target) => target === 'shop/node-agent',
      targets: () => [...pods.keys(), ...netns.keys()],
    },
    log: createLog('silent'),
  });
  for (const [number, name] of ['tcpreset', 'tcplife', 'failed', 'broken'].entries())
    orders.start({ name, number } as Probe, defaultSettings, name === 'tcpreset');
  const row = (name = 'tcpreset') => orders.list().find((one) => one.name === name);
  return { orders, choices, pods, row };
}

test('what the configuration leaves off is enabled by an order, and the other way round', async () => {
  const { orders, row } = nodeOf();
  expect(orders.list().map(({ name, state }) => [name, state])).toEqual([
    ['tcpreset', 'enabled'],
    ['tcplife', 'disabled'],
    ['failed', 'disabled'],
    ['broken', 'disabled'],
  ]);
  expect(await orders.order('tcplife', { enable: true })).toMatchObject({ state: 'enabled', intent: { mode: 'all' } });
  expect(await orders.order('tcpreset', { enable: false })).toMatchObject({ state: 'disabled', intent: { mode: 'off' } });
  await orders.configure('tcpreset', true);
  expect(row(), 'the configuration says what it said before').toMatchObject({ state: 'disabled' });
  await orders.configure('tcplife', true);
  await orders.configure('tcplife', false);
  expect(row('tcplife')).toMatchObject({ state: 'disabled' });
});

test('what probes do not see is told as it is now', async () => {
  const { orders } = nodeOf();
  const gaps = (): unknown[] => orders.gaps().filter(({ probe }) => probe !== 3);
  expect(gaps()).toEqual([
    { probe: 1, state: 'off' },
    { probe: 2, state: 'off' },
  ]);
  await orders.order('tcpreset', { enable: false, target: 'shop/web-0' });
  await orders.order('tcplife', { enable: true, target: 'demo-web' }, 60_000);
  await orders.order('failed', { enable: true }).catch(() => undefined);
  expect(gaps()).toEqual([
    { probe: 0, state: 'unlisted', netns: [11] },
    { probe: 1, state: 'listed', netns: [21] },
    { probe: 2, state: 'failed', cause: 'failed: because' },
  ]);
  await vi.advanceTimersByTimeAsync(60_001);
  expect(gaps()[1]).toEqual({ probe: 1, state: 'off' });
});

test('orders expire one by one, and what was wanted before holds again', async () => {
  const { orders, choices, row } = nodeOf();
  await orders.order('tcpreset', { enable: false }, 60_000);
  expect(row()).toMatchObject({ state: 'disabled', next: { atUnixMs: Date.now() + 60_000, intent: { mode: 'all' } } });
  await orders.order('tcpreset', { enable: true, target: 'shop/web-0' }, 10_000);
  expect(row()).toMatchObject({ state: 'enabled', intent: { mode: 'listed', targets: ['shop/web-0'] }, next: { intent: { mode: 'off' } } });
  expect(choices).toEqual([
    ['tcpreset', 'all', []],
    ['tcpreset', 'listed', [11]],
  ]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(row()).toMatchObject({ state: 'disabled', next: { intent: { mode: 'all' } } });
  await vi.advanceTimersByTimeAsync(50_000);
  expect(row()).toEqual({ name: 'tcpreset', state: 'enabled', attached: ['program'], problems: [], intent: { mode: 'all' }, absent: [] });
});

test('all of a probe on or off ends the orders before it; nothing expires after the end', async () => {
  const { orders, row } = nodeOf();
  await orders.order('tcpreset', { enable: false }, 1_000);
  await orders.order('tcpreset', { enable: true });
  await orders.order('tcpreset', { enable: false });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(row()).toMatchObject({ state: 'disabled' });
  await orders.order('tcpreset', { enable: true }, 1_000);
  orders.close();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(vi.getTimerCount()).toBe(0);
});

test('a Pod that comes back under its name is found again, and one that is gone is said to be', async () => {
  const { orders, choices, pods, row } = nodeOf();
  await orders.order('tcpreset', { enable: true, target: 'shop/web-0' });
  await orders.order('tcpreset', { enable: true, target: 'demo-web' });
  orders.follow();
  pods.delete('shop/web-0');
  orders.follow();
  expect(row()).toMatchObject({ absent: ['shop/web-0'] });
  pods.set('shop/web-0', [12]);
  expect(row(), 'the probe does not look at it yet').toMatchObject({ absent: ['shop/web-0'] });
  expect(orders.gaps()[0]).toMatchObject({ state: 'listed', netns: [21] });
  orders.follow();
  expect(row()).toMatchObject({ absent: [] });
  expect(orders.gaps()[0]).toMatchObject({ state: 'listed', netns: [12, 21] });
  expect(choices.map(([, mode, netns]) => [mode, netns])).toEqual([
    ['listed', [11]],
    ['listed', [11, 21]],
    ['listed', [21]],
    ['listed', [12, 21]],
  ]);
  pods.delete('shop/web-0');
  expect(await orders.order('tcpreset', { enable: false, target: 'shop/web-0' })).toMatchObject({ intent: { targets: ['demo-web'] } });
});

test.each([
  ['an unknown probe', 'tcpreste', { enable: true }, 2, /no probe tcpreste; did you mean tcpreset\?/],
  ['an unknown Pod', 'tcpreset', { enable: true, target: 'shop/web-1' }, 2, /no Pod shop\/web-1 on this node; did you mean shop\/web-0\?/],
  ['an unknown namespace', 'tcpreset', { enable: false, target: 'demo-wbe' }, 2, /no network namespace demo-wbe .*demo-web\?/],
  ['a Pod of the node’s network', 'tcpreset', { enable: true, target: 'shop/node-agent' }, 2, /hostNetwork/],
  ['a missing capability', 'failed', { enable: true }, 77, /failed may not be started: because/],
  ['a broken object', 'broken', { enable: true }, 69, /broken could not be started: because/],
])('%s', async (_, name, order, exitCode, message) => {
  const { orders } = nodeOf();
  await expect(orders.order(name, order)).rejects.toMatchObject({ exitCode, message: expect.stringMatching(message) });
});

test('orders are bounded', async () => {
  const { orders } = nodeOf();
  for (let n = 0; n < 256; n++) await orders.order('tcpreset', { enable: n % 2 === 0 }, 60_000);
  for (const [order, forMs] of [[{ enable: true }, 60_000], [{ enable: true, target: 'demo-web' }]] as const)
    await expect(orders.order('tcpreset', order, forMs)).rejects.toMatchObject({ code: 'COLLECTOR_TOO_MANY_ORDERS' });
  expect(await orders.order('tcpreset', { enable: true })).toMatchObject({ intent: { mode: 'all' } });
  expect(await orders.order('tcpreset', { enable: false }, 60_000)).toMatchObject({ state: 'disabled' });
});
