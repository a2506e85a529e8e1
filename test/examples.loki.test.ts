import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { elasticsearchUser, type RunningElasticsearch } from '../scripts/servers/elasticsearch.mjs';
import { kafkaUser, type RunningKafka } from '../scripts/servers/kafka.mjs';
import type { RunningLoki } from '../scripts/servers/loki.mjs';
import { kernelTest } from './lab/kernel-tier.ts';
import { CertificateAuthority } from './support/certificate-authority.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { askElasticsearch, startElasticsearch } from './support/elasticsearch-server.ts';
import { ExampleRun, expectSeen, filesHold } from './support/example-run.ts';
import { FaultProxy } from './support/fault-proxy.ts';
import { freePort } from './support/free-port.ts';
import { linesOf, startLoki } from './support/loki-server.ts';
import { patiently } from './support/patiently.ts';
import { startKafka } from './support/servers.ts';

const folder = temporaryFolder();
/** Elasticsearch runs as a user that may not go through the other one. */
const elasticsearchFolder = temporaryFolder();
const run = new ExampleRun(folder);
const node = 'worker-7';
let authority: CertificateAuthority;
let elasticsearch: RunningElasticsearch;
let kafka: RunningKafka;
let loki: RunningLoki;
/** What stands before the stores: TLS and a token before Loki, neither before Elasticsearch. */
let [lokiGateway, elasticsearchGateway]: FaultProxy[] = [];
const [passwordFile, kafkaPasswordFile, tokenFile] = ['elasticsearch-password', 'kafka-password', 'loki-token'].map((name) =>
  join(folder.path, name),
);

beforeAll(async () => {
  [elasticsearch, kafka, loki] = await Promise.all([
    startElasticsearch({ dataDir: elasticsearchFolder.path, secured: true }),
    startKafka({ dataDir: join(folder.path, 'kafka'), secured: true }),
    startLoki({ dataDir: join(folder.path, 'loki') }),
  ]);
  const pki = join(folder.path, 'pki');
  mkdirSync(pki);
  authority = new CertificateAuthority(pki);
  writeFileSync(passwordFile, `${elasticsearchUser.password}\n`);
  writeFileSync(kafkaPasswordFile, `${kafkaUser.password}\n`);
  writeFileSync(tokenFile, 'only-for-tests\n');
  const { cert, key } = authority.issue('IP:127.0.0.1');
  lokiGateway = await FaultProxy.start(loki.address, { tls: { cert: readFileSync(cert), key: readFileSync(key) } });
  lokiGateway.fault = ({ headers }) => (headers.authorization === 'Bearer only-for-tests' ? 'pass' : { status: 401 });
  const user = Buffer.from(`${elasticsearchUser.name}:${elasticsearchUser.password}`).toString('base64');
  elasticsearchGateway = await FaultProxy.start(elasticsearch.address, {
    targetTls: { ca: readFileSync(elasticsearch.certificates?.ca ?? '') },
    headers: { authorization: `Basic ${user}` },
  });
});
afterEach(() => run.stop());
afterAll(async () => {
  await Promise.all([lokiGateway?.close(), elasticsearchGateway?.close()]);
  await Promise.all([elasticsearch?.kill(), kafka?.kill(), loki?.kill()]);
  folder.remove();
  elasticsearchFolder.remove();
});

async function lokiHolds(cluster: string, port: number): Promise<boolean> {
  const nowS = Date.now() / 1000;
  const query = `{service_name="jitterscope", cluster="${cluster}", type="tcpreset"} |~ \`"port":${port}[,}]\``;
  return (await linesOf({ address: loki.address }, query, nowS - 600, nowS + 60)).length > 0;
}

async function elasticsearchHolds(cluster: string, port: number): Promise<boolean> {
  const ports = ['source.port', 'destination.port'].map((field) => ({ term: { [field]: port } }));
  const query = { bool: { filter: [{ term: { 'orchestrator.cluster.name': cluster } }], should: ports, minimum_should_match: 1 } };
  await askElasticsearch(elasticsearch, 'POST', '/jitterscope-events-*/_refresh');
  const { hits } = (await askElasticsearch(elasticsearch, 'POST', '/jitterscope-events-*/_search', { query })) as {
    hits: { hits: unknown[] };
  };
  return hits.hits.length > 0;
}

const both = async (cluster: string, port: number) => (await lokiHolds(cluster, port)) && (await elasticsearchHolds(cluster, port));

/** Settings of a tls section: certificates of the test's authority. */
function tls(section: string, names: string): Record<string, string> {
  const { cert, key } = authority.issue(names);
  return { [`${section}.ca`]: authority.file, [`${section}.cert`]: cert, [`${section}.key`]: key };
}

/** Gateway and collector on this machine. */
async function gatewayAndNode(): Promise<{ gateway: Record<string, string>; collector: Record<string, string> }> {
  const address = `127.0.0.1:${await freePort()}`;
  return {
    gateway: { 'gateway.listen': address, ...tls('gateway.tls', 'IP:127.0.0.1') },
    collector: { 'collector.gateway.address': address, ...tls('collector.gateway.tls', `DNS:${node}`) },
  };
}

const elasticsearchPlace = () => ({
  'sinks.elasticsearch.urls': `["${elasticsearch.address}"]`,
  'sinks.elasticsearch.tls.ca': elasticsearch.certificates?.ca ?? '',
  'sinks.elasticsearch.credentials.passwordFile': passwordFile,
});

kernelTest('the example loki.yaml: an event of this kernel is in Loki and in the files', async () => {
  const { all } = await run.start('loki.yaml', { 'sinks.loki.url': loki.address });
  await expectSeen('Loki', async (port) => filesHold(all, port) && (await lokiHolds('lab', port)), run);
});

kernelTest('the example elasticsearch.yaml: an event of this kernel is in Elasticsearch and in the files', async () => {
  const { all } = await run.start('elasticsearch.yaml', elasticsearchPlace());
  await expectSeen('Elasticsearch', async (port) => filesHold(all, port) && (await elasticsearchHolds('default', port)), run);
});

kernelTest('the example all-stores.yaml: an event of this kernel is in both stores, its count on /metrics', async () => {
  const { metrics } = await run.start('all-stores.yaml', {
    'sinks.loki.url': loki.address,
    'sinks.elasticsearch.urls': `["${elasticsearchGateway.address}"]`,
  });
  await expectSeen('each store', (port) => both('lab', port), run);
  await patiently('it is counted', 60_000, async () => {
    const text = await (await fetch(`http://${metrics}/metrics`)).text();
    return /^jitterscope_tcpreset_sent_total\{.*reason="NO_SOCKET".*\} [1-9]/m.test(text);
  });
});

kernelTest('the example kafka: an event of this kernel goes through four processes and is in the files', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const { sinks } = await run.start('kafka/jitterscope.yaml', {
    'bus.kafka.brokers': `["${kafka.address}"]`,
    'gateway.listen': address,
    'collector.gateway.address': address,
  });
  await expectSeen('the sinks process', (port) => filesHold(sinks, port), run);
});

kernelTest('the example kafka-secured: an event of a node comes over mutual TLS and a Kafka with SCRAM to the files', async () => {
  const { gateway, collector } = await gatewayAndNode();
  const { sinks } = await run.start('kafka-secured/pipeline.yaml', {
    'bus.kafka.brokers': `["127.0.0.1:${kafka.ports.SASL_SSL}"]`,
    'bus.kafka.tls.ca': kafka.certificates?.ca ?? '',
    'bus.kafka.sasl.passwordFile': kafkaPasswordFile,
    'bus.kafka.replicationFactor': '1',
    ...gateway,
  });
  await run.start('kafka-secured/node.yaml', collector, { NODE_NAME: node });
  await expectSeen('the sinks process', (port) => filesHold(sinks, port, node), run);
});

kernelTest(
  'the example production: an event of a node comes over a Kafka with mutual TLS to Loki and Elasticsearch behind TLS',
  async () => {
    const { gateway, collector } = await gatewayAndNode();
    const { ca = '', client } = kafka.certificates ?? {};
    await run.start('production/pipeline.yaml', {
      'bus.kafka.brokers': `["127.0.0.1:${kafka.ports.SSL}"]`,
      'bus.kafka.tls.ca': ca,
      'bus.kafka.tls.cert': client?.cert ?? '',
      'bus.kafka.tls.key': client?.key ?? '',
      'bus.kafka.replicationFactor': '1',
      'sinks.loki.url': lokiGateway.address,
      'sinks.loki.tls.ca': authority.file,
      'sinks.loki.credentials.bearerTokenFile': tokenFile,
      ...elasticsearchPlace(),
      ...gateway,
    });
    await run.start('production/node.yaml', collector, { NODE_NAME: node });
    await expectSeen('each store', (port) => both('production', port), run);
  },
);
