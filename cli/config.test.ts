import { hostname } from 'node:os';
import { afterEach, expect, test, vi } from 'vitest';
import { probes } from '../bpf/registry.ts';
import { jsonSchemaOf } from '../core/config/expected.ts';
import { fieldsOf } from '../core/config/field.ts';
import { checkConfig } from '../core/config/load.ts';
import { configSchema, nodeName, readConfig } from './config.ts';

afterEach(() => vi.unstubAllEnvs());

test('the defaults are those of the design', () => {
  const config = readConfig({});
  expect(config.cluster.name).toBe('default');
  expect(config.metrics.listen).toBe('127.0.0.1:9464');
  const { kafka, ...bus } = config.bus;
  expect(bus).toEqual({
    type: 'embedded',
    rawSize: 2 ** 30,
    eventsSize: 2 ** 29,
    metricsSize: 2 ** 27,
    deadLettersSize: 2 ** 27,
    commitInterval: 20,
  });
  expect(kafka).toMatchObject({ partitions: 16, replicationFactor: 3, createTopics: true, topicPrefix: '' });
  expect(config.collector).toMatchObject({
    drainInterval: 10,
    transport: 'auto',
    batchSize: 262_144,
    batchLinger: 200,
    heartbeatInterval: 1000,
    keyframeInterval: 300_000,
    spoolSize: 2 ** 29,
    burst: 200,
    rate: 50,
  });
  expect(config.aggregator).toMatchObject({
    maxSeries: 200_000,
    batchSize: 262_144,
    batchLinger: 200,
    heldSize: 2 ** 23,
    checkpointInterval: 60_000,
  });
  expect(config.gateway).toEqual({
    listen: 'off',
    allowPlaintext: false,
    replays: false,
    inFlightSize: 2 ** 23,
    messageSize: 2 ** 22,
    memorySize: 2 ** 26,
  });
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

test.each([
  [['collector.gateway.address=127.0.0.1:9463'], []],
  [['collector.gateway.address=gateway:9463', 'collector.gateway.allowPlaintext=true'], []],
  [['collector.gateway.address=gateway:9463', 'collector.gateway.tls.cert=a', 'collector.gateway.tls.key=b'], []],
  [['collector.gateway.address=gateway:9463'], ['collector.gateway.tls']],
  [['collector.gateway.address=gateway'], ['collector.gateway.address']],
  [['collector.gateway.address=gateway:9463', 'collector.gateway.tls.ca=a'], ['collector.gateway.tls.cert']],
  [['collector.gateway.tls.cert=a', 'collector.gateway.tls.key=b'], ['collector.gateway.address']],
])('a collector with %j has mistakes at %j', (sets, paths) => {
  expect(checkConfig(configSchema, { sets }).map(({ path }) => path)).toEqual(paths);
});

test.each([
  ['cluster.name', 'ü'.repeat(127), /cluster\.name: found "ü+", expected 1 to 253 bytes/],
  ['collector.batchSize', '3841KiB', /collector\.batchSize: found 3933184 bytes, expected at most 3932160: gateway\.messageSize/],
  ['collector.batchSize', '0B', /collector\.batchSize: found "0B", expected a size such as 64MiB, at least 4KiB/],
  ['collector.spoolSize', '1MiB', /collector\.spoolSize: found "1MiB", .*at least 16MiB/],
  ['gateway.messageSize', '8MiB', /gateway\.messageSize: found "8MiB", .*at least 2MiB, at most 7MiB/],
  ['gateway.inFlightSize', '1B', /gateway\.inFlightSize: .*at least 64KiB/],
  ['aggregator.batchSize', '5MiB', /aggregator\.batchSize: found "5MiB", .*at most 4MiB/],
  ['aggregator.heldSize', '2GiB', /aggregator\.heldSize: .*at most 1GiB/],
  ['bus.rawSize', '1MiB', /bus\.rawSize: .*at least 16MiB/],
  ['bus.eventsSize', '1MiB', /bus\.eventsSize: .*at least 16MiB/],
  ['bus.deadLettersSize', '0B', /bus\.deadLettersSize: .*at least 16MiB/],
  ['bus.commitInterval', '0ms', /bus\.commitInterval: .*above 0/],
  ['sinks.file.maxFileSize', '1KiB', /sinks\.file\.maxFileSize: .*at least 64KiB/],
])('%s: a value that messages or logs could not bear is refused, with what was found and expected', (path, value, says) => {
  expect(() => readConfig({ set: [`${path}=${value}`] })).toThrow(says);
});

test('a batch may be as large as the messages allow', () => {
  const set = ['gateway.messageSize=7MiB', 'collector.batchSize=6912KiB'];
  expect(readConfig({ set }).collector.batchSize).toBe(6912 * 1024);
});

test('what a reload changes is said in the schema: these, and nothing that is read at the start only', () => {
  const live = fieldsOf(configSchema)
    .filter((field) => field.live)
    .map(({ path }) => path.join('.'));
  const ofProbes = probes.flatMap(({ name, thresholds = [] }) =>
    ['enabled', 'burst', 'rate', ...thresholds.map((threshold) => threshold.name)].map((field) => `collector.probes.${name}.${field}`),
  );
  const others = ['log.level', 'collector.sampleInterval', 'collector.burst', 'collector.rate'];
  expect(live.toSorted()).toEqual([...others, ...ofProbes, 'rules.directory', 'rules.disabled', 'rules.params'].toSorted());
});

test('every setting says what it means, and takes its own default', () => {
  for (const field of fieldsOf(configSchema)) {
    const name = field.path.join('.');
    expect(`${name}: ${field.description}`).toMatch(/: .*\S/);
    if (field.default === undefined) continue;
    expect(() => readConfig({ set: [`${name}=${JSON.stringify(field.default)}`] }), name).not.toThrow();
  }
});

test('the JSON Schema says what is unknown, and what a quantity looks like', () => {
  const schema = JSON.parse(JSON.stringify(jsonSchemaOf(configSchema)));
  expect(schema).toMatchObject({
    additionalProperties: false,
    properties: {
      bus: { properties: { rawSize: { type: 'string', default: '1GiB', description: expect.stringContaining('at least 16MiB') } } },
      log: {
        properties: {
          level: { enum: ['debug', 'info', 'warn', 'error', 'silent'], description: expect.stringContaining('while it runs') },
        },
      },
      rules: { properties: { params: { additionalProperties: { additionalProperties: { type: 'number' } } } } },
    },
  });
});
