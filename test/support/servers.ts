import { type KafkaOptions, kafka, kafkaOf, type RunningKafka } from '../../scripts/servers/kafka.mjs';

/** Starts a real Kafka broker of its own for a test file, of the version JITTERSCOPE_KAFKA; installs it first where that was not done. */
export async function startKafka(options: KafkaOptions): Promise<RunningKafka> {
  const version = process.env.JITTERSCOPE_KAFKA;
  const server = version === undefined ? kafka : kafkaOf(version);
  await server.install();
  return server.start(options);
}
