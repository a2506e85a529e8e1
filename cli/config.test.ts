import { hostname } from 'node:os';
import { afterEach, expect, test, vi } from 'vitest';
import { nodeName, readConfig } from './config.ts';

afterEach(() => vi.unstubAllEnvs());

test('the defaults are those of the design', () => {
  const config = readConfig({});
  expect(config.cluster.name).toBe('default');
  expect(config.metrics.listen).toBe('127.0.0.1:9464');
  expect(config.bus).toEqual({ rawSize: 2 ** 30, eventsSize: 2 ** 29, deadLettersSize: 2 ** 27, commitInterval: 20 });
  expect(config.collector).toMatchObject({
    drainInterval: 10,
    batchSize: 262_144,
    batchLinger: 200,
    heartbeatInterval: 1000,
    keyframeInterval: 300_000,
    spoolSize: 2 ** 29,
    burst: 200,
    rate: 50,
  });
  expect(config.aggregator).toEqual({ batchSize: 262_144, batchLinger: 200, heldSize: 2 ** 23, checkpointInterval: 60_000 });
  expect(config.gateway).toEqual({ inFlightSize: 2 ** 23, messageSize: 2 ** 22 });
});

test('a node is called what is configured, else NODE_NAME, else the host', () => {
  vi.stubEnv('NODE_NAME', undefined);
  expect(nodeName(readConfig({}))).toBe(hostname());
  vi.stubEnv('NODE_NAME', 'from-pod');
  expect(nodeName(readConfig({}))).toBe('from-pod');
  expect(nodeName(readConfig({ set: ['node.name=mine'] }))).toBe('mine');
});

test('a name that no event could hold is refused', () => {
  vi.stubEnv('NODE_NAME', '');
  expect(() => nodeName(readConfig({}))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  vi.stubEnv('NODE_NAME', 'ü'.repeat(127));
  expect(() => nodeName(readConfig({}))).toThrow(/1 to 253 bytes/);
  expect(() => readConfig({ set: [`cluster.name=${'x'.repeat(300)}`] })).toThrow(/cluster\.name/);
});

test.each(['drainInterval', 'heartbeatInterval', 'batchLinger', 'keyframeInterval', 'counterInterval'])(
  'collector.%s of nothing would never rest',
  (field) => {
    expect(() => readConfig({ set: [`collector.${field}=0s`] })).toThrow(new RegExp(`collector\\.${field}: found "0s"`));
  },
);
