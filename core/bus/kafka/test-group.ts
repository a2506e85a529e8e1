import type { AppError } from '../../app-error.ts';
import type { ConsumeOptions } from '../bus.ts';
import { encodeAssignment } from './assignment.ts';
import type { Broker } from './broker.ts';
import { kafkaFailure } from './errors.ts';
import { type ConsumerPorts, KafkaConsumer } from './kafka-consumer.ts';
import { BrokerLink } from './link.ts';

const topic = 'raw';
const group = 'readers';

/** What a coordinator answers; what is left out lets a single member in, with one partition, in generation 1. */
export type Coordinator = Partial<Pick<Broker, 'joinGroup' | 'heartbeat' | 'leaveGroup'>>;

/** A link to a coordinator of this process, whose requests are rejected when the connection ends. */
export function coordinatorLink(coordinator: Coordinator): BrokerLink {
  const connect = async (): Promise<Broker> => {
    let end: (error: Error) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    ended.catch(() => undefined);
    const answering = {
      joinGroup: async () => ({ generationId: 1, leaderId: 'other', memberId: 'member', groupProtocol: '', members: [] }),
      syncGroup: async () => ({ memberAssignment: encodeAssignment(topic, [0]) }),
      heartbeat: async () => undefined,
      leaveGroup: async () => undefined,
      ...coordinator,
    };
    const until = Object.entries(answering).map(([name, answer]) => [name, (request: never) => Promise.race([answer(request), ended])]);
    const connection = { rejectRequests: end, disconnect: async () => undefined };
    return { ...Object.fromEntries(until), connectionPool: { pool: [connection] } };
  };
  const failed = (thrown: unknown, what: string): AppError => kafkaFailure(thrown, what, 'kafka-0:9092');
  return new BrokerLink(
    { connect, failed, answered: () => undefined },
    async () => ({ host: 'kafka-0', port: 9092 }),
    () => undefined,
  );
}

/** A consumer that is alone in its group, and gets one fetch. */
export function consumerOf(
  coordinator: Coordinator,
  commit: ConsumerPorts['commit'],
  options: Partial<ConsumeOptions> = {},
): KafkaConsumer {
  const ports: ConsumerPorts = {
    membership: { group, topic, partitions: 1, sessionTimeoutMs: 10_000, link: coordinatorLink(coordinator) },
    async *read(partition) {
      yield { topic, partition, messages: [], next: 1, holes: [] };
    },
    offsets: async () => ({ earliest: 0, next: 1 }),
    committed: async () => undefined,
    commit,
    missed: () => undefined,
    warned: () => undefined,
    failed: () => undefined,
  };
  return new KafkaConsumer({ group, topic, handle: async () => undefined, ...options }, ports);
}
