import { type KafkaOptions, kafka, type RunningKafka } from '../../scripts/servers/kafka.mjs';

/** Starts a real Kafka broker of its own for a test file; installs it first where that was not done. */
export async function startKafka(options: KafkaOptions): Promise<RunningKafka> {
  await kafka.install();
  return kafka.start(options);
}
