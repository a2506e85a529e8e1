// Apache Kafka on the loopback: one KRaft node, or a cluster of them.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { folderOf, installOnce, isCached } from './cache.mjs';
import { writeCertificates } from './certificates.mjs';
import { freePort } from './free-port.mjs';
import { fetchJars, javaObstacle } from './maven.mjs';
import { lastLines, startServer } from './server-process.mjs';

const byDefault = '4.3.1';
// Short-lived brokers: what C2 would compile never pays. `org.apache.kafka` 4 keeps its own logging quiet at warn.
const javaOptions = ['-Xms128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true'];
const clusterId = 'aml0dGVyc2NvcGUtdGVzdA';

/** The users that a secured broker knows, by PLAIN and by SCRAM: name and password. */
export const kafkaUser = { name: 'jitterscope', password: 'only-for-tests' };

function listenersOf(ports, host) {
  return Object.entries(ports)
    .map(([listener, port]) => `${listener}://${host}:${port}`)
    .join(',');
}

/** server.properties as lines. `certificates`: of a secured broker. */
function propertiesOf(dataDir, ports, certificates, overrides) {
  const { CONTROLLER: controllerPort, ...clientPorts } = ports;
  const replicated = ['offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'];
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  const secured = {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': certificates?.server.bundle,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': certificates?.ca,
    'listener.name.ssl.ssl.client.auth': 'required',
    'listener.name.sasl_ssl.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.sasl_ssl.plain.sasl.jaas.config': `${plain} user_${kafkaUser.name}="${kafkaUser.password}";`,
    'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': scram,
  };
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: listenersOf(ports, '127.0.0.1'),
    'advertised.listeners': listenersOf(clientPorts, '127.0.0.1'),
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': join(dataDir, 'logs'),
    'auto.create.topics.enable': false,
    ...Object.fromEntries(replicated.map((topic) => [`${topic}.replication.factor`, 1])),
    ...Object.fromEntries(replicated.slice(1).map((topic) => [`${topic}.min.isr`, 1])),
    ...Object.fromEntries(replicated.map((topic) => [`${topic}.num.partitions`, 4])),
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 2,
    'num.io.threads': 4,
    // A restarted broker waits until its registration from before has run out.
    'broker.session.timeout.ms': 2000,
    'broker.heartbeat.interval.ms': 500,
    ...(certificates === undefined ? {} : secured),
    ...overrides,
  }).map(([key, value]) => `${key}=${value}`);
}

/** From 4.0 on Kafka logs through Log4j 2, and before through what is left of Log4j 1. */
const log4j2 = `rootLogger.level=warn
rootLogger.appenderRef.c.ref=C
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
logger.k.name=kafka.server.KafkaRaftServer
logger.k.level=info
`;
const log4j1 = `log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=[%d] %p %m (%c)%n
log4j.logger.kafka.server.KafkaRaftServer=INFO
`;

/** How a version logs: the artifact that does it, its configuration, and the option that names that file. */
function loggingOf(version) {
  return Number.parseInt(version, 10) >= 4
    ? {
        artifact: 'org.apache.logging.log4j:log4j-slf4j-impl:2.25.4',
        text: log4j2,
        file: 'log4j2.properties',
        option: 'log4j2.configurationFile=',
      }
    : { artifact: 'org.slf4j:slf4j-reload4j:1.7.36', text: log4j1, file: 'log4j.properties', option: 'log4j.configuration=file:' };
}

async function format(java, properties, secured) {
  const scram = (mechanism) => ['--add-scram', `SCRAM-SHA-${mechanism}=[name=${kafkaUser.name},password=${kafkaUser.password}]`];
  const users = secured ? [256, 512].flatMap(scram) : [];
  const args = [...java, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', clusterId, '-c', properties, ...users];
  await promisify(execFile)('java', args);
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (is) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** What makes several nodes one cluster: voters, and replicas of the brokers' own topics. */
function clusterOf(nodeId, nodes) {
  const replicas = Math.min(3, nodes.length);
  const internal = ['offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'];
  return {
    'node.id': nodeId,
    'controller.quorum.voters': nodes.map(({ CONTROLLER }, index) => `${index + 1}@127.0.0.1:${CONTROLLER}`).join(','),
    ...Object.fromEntries(internal.map((topic) => [`${topic}.replication.factor`, replicas])),
    // A follower that is away is left out of the replicas in sync soon, and takes part again soon.
    'replica.lag.time.max.ms': 4000,
  };
}

async function choosePorts(port, secured) {
  const names = ['CONTROLLER', ...(secured ? ['SSL', 'SASL_SSL'] : [])];
  const ports = { PLAINTEXT: port ?? (await freePort()) };
  for (const listener of names) ports[listener] = await freePort();
  return ports;
}

/**
 * Starts the broker. `port`: of the plaintext listener, when it is the first start of this folder; a start after that
 * takes the ports from before. `secured`: also listens with mutual TLS (`ports.SSL`) and with SASL over TLS
 * (`ports.SASL_SSL`), for certificates and users that it makes. `overrides`: further server properties. `heapMiB`: largest
 * heap of Java.
 */
async function start(version, { dataDir, port, secured = false, overrides = {}, heapMiB = 512, ports: chosen }) {
  const lib = join(folderOf(nameOf(version)), 'lib', '*');
  const logging = loggingOf(version);
  mkdirSync(dataDir, { recursive: true });
  const portsFile = join(dataDir, 'ports.json');
  const again = existsSync(portsFile);
  const ports = again ? JSON.parse(readFileSync(portsFile, 'utf8')) : (chosen ?? (await choosePorts(port, secured)));
  const certificates = secured ? await writeCertificates(join(dataDir, 'certificates')) : undefined;
  const properties = join(dataDir, 'server.properties');
  writeFileSync(properties, `${propertiesOf(dataDir, ports, certificates, overrides).join('\n')}\n`);
  writeFileSync(join(dataDir, logging.file), logging.text);
  const java = [...javaOptions, `-Xmx${heapMiB}m`, `-D${logging.option}${join(dataDir, logging.file)}`, '-cp', lib];
  if (!again) await format(java, properties, secured);
  writeFileSync(portsFile, JSON.stringify(ports));
  const log = join(dataDir, 'kafka.log');
  writeFileSync(log, '');
  const started = async () => lastLines(log).includes('Kafka Server started') && (await answers(ports.PLAINTEXT));
  const server = await startServer({ name: 'Kafka', command: 'java', args: [...java, 'kafka.Kafka', properties], log, ready: started });
  return { ...server, address: `127.0.0.1:${ports.PLAINTEXT}`, port: ports.PLAINTEXT, ports, certificates };
}

const nameOf = (version) => `kafka-${version}`;

/** A version of Kafka as a server: 3.3 or newer, since it runs without ZooKeeper. */
export function kafkaOf(version) {
  const artifacts = [`org.apache.kafka:kafka_2.13:${version}`, loggingOf(version).artifact];
  return {
    name: 'kafka',
    usualPort: 9092,
    tier: 'servers',
    version,
    obstacle: javaObstacle,
    isInstalled: () => isCached(nameOf(version)),
    install: () => installOnce(nameOf(version), (folder) => fetchJars(folder, artifacts)),
    start: (options) => start(version, options),
  };
}

export const kafka = kafkaOf(byDefault);

/**
 * Starts a cluster of a version (kafkaOf), each node broker and controller, in folders `1`, `2`, ... of `dataDir`, with small heaps. Resolves with
 * the nodes; `start(index)` starts one again that has ended.
 */
export async function startKafkaCluster(server, { dataDir, nodes: count = 3, overrides = {} }) {
  const folders = Array.from({ length: count }, (_, index) => join(dataDir, String(index + 1)));
  const ports = [];
  for (const folder of folders) {
    const file = join(folder, 'ports.json');
    const known = existsSync(file);
    ports.push(known ? JSON.parse(readFileSync(file, 'utf8')) : await choosePorts(undefined, false));
  }
  const startNode = (index) =>
    server.start({
      dataDir: folders[index],
      ports: ports[index],
      overrides: { ...clusterOf(index + 1, ports), ...overrides },
      heapMiB: 256,
    });
  const nodes = await Promise.all(folders.map((_, index) => startNode(index)));
  return { nodes, brokers: nodes.map(({ address }) => address), start: startNode };
}
