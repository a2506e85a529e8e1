import {
  type KafkaClusterOptions,
  type KafkaOptions,
  kafka,
  kafkaOf,
  type RunningKafka,
  type RunningKafkaCluster,
  startKafkaCluster as startCluster,
} from '../../scripts/servers/kafka.mjs';

/** Starts a real Kafka broker of its own for a test file, of the version JITTERSCOPE_KAFKA; installs it first where that was not done. */
export async function startKafka(options: KafkaOptions): Promise<RunningKafka> {
  const server = await installed();
  return server.start(options);
}

/** As startKafka, with several nodes. */
export async function startKafkaCluster(options: KafkaClusterOptions): Promise<RunningKafkaCluster> {
  return startCluster(await installed(), options);
}

async function installed(): Promise<typeof kafka> {
  const version = process.env.JITTERSCOPE_KAFKA;
  const server = version === undefined ? kafka : kafkaOf(version);
  await server.install();
  return server;
}
