import { expect, test } from 'vitest';
import { probes } from '../../bpf/registry.ts';
import { tcplife } from '../../bpf/tcplife/probe.ts';
import { collectorConfig } from './config.ts';
import { setupOf } from './probe-setup.ts';

test('every probe has a section; without a word in it, its thresholds are those of the object and its bucket is everybody’s', () => {
  const config = collectorConfig.parse({ burst: 7, rate: 10 });
  expect(Object.keys(config.probes)).toEqual(probes.map(({ name }) => name));
  for (const probe of probes) {
    const thresholds = Object.fromEntries((probe.thresholds ?? []).map((threshold) => [threshold.name, threshold.default]));
    expect(setupOf(config, probe)).toEqual({ enabled: true, burst: 7, intervalNs: 100_000_000, filterMode: 'all', thresholds });
  }
});

test('a probe’s own words are stronger', () => {
  const own = { enabled: false, burst: 0, rate: 1000, slowConnectUs: 1, retransmittedPerMille: 4_294_967_295 };
  expect(setupOf(collectorConfig.parse({ probes: { tcplife: own } }), tcplife)).toMatchObject({
    enabled: false,
    burst: 0,
    intervalNs: 1_000_000,
    thresholds: { slowConnectUs: 1, retransmittedSegments: 10, retransmittedPerMille: 4_294_967_295 },
  });
});

test.each([{ tcplive: {} }, { tcplife: { slowConnect: 5 } }, { tcplife: { slowConnectUs: 2 ** 32 } }, { tcplife: { slowConnectUs: -1 } }])(
  '%j is no setting of a probe',
  (section) => {
    expect(collectorConfig.safeParse({ probes: section }).success).toBe(false);
  },
);
