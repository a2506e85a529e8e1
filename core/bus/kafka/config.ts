import { z } from 'zod';
import { secret } from '../../config/traits.ts';
import { hostPort } from '../../host-port.ts';
import { duration } from '../../quantity.ts';
import { tlsSchema } from '../../tls.ts';

/** How a user is proven to Kafka. */
const saslSchema = z.strictObject({
  mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('SASL mechanism of the listener.'),
  username: z.string().min(1).describe('Name of the user.'),
  password: secret(z.string().min(1).optional().describe('Password; better from `passwordFile` or the environment.')),
  passwordFile: z.string().min(1).optional().describe('File with the password; read again when it changes.'),
});

/** Section `bus.kafka`. */
export const kafkaSchema = z.strictObject({
  brokers: z.array(hostPort()).default(['127.0.0.1:9092']).describe('Addresses to start from; the others are learned from them.'),
  tls: tlsSchema.optional().describe('TLS to the brokers; an empty section: with the authorities of Node.js. Default: none.'),
  sasl: saslSchema.optional().describe('Authentication of a user. Default: none.'),
  topicPrefix: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{0,100}$/)
    .default('')
    .describe('Stands before the names of topics and groups, for several installations on one cluster.'),
  partitions: z
    .int()
    .min(1)
    .max(1000)
    .default(16)
    .describe('Partitions of each topic, fixed when they are created: how many aggregators, and instances of a sink, can share the work.'),
  replicationFactor: z.int().min(1).max(10).default(3).describe('Replicas of topics that are created.'),
  createTopics: z.boolean().default(true).describe('Whether topics that are missing are created.'),
  compression: z.enum(['none', 'gzip', 'snappy']).default('snappy').describe('How batches are compressed.'),
  sessionTimeout: duration('10s', { atLeast: '6s', atMost: '30m' }).describe('A member of a group that is not heard for so long is dead.'),
  requestTimeout: duration('10s', { atLeast: '1s', atMost: '5m' }).describe('How long the answer to a request is waited for.'),
});

export type KafkaConfig = z.output<typeof kafkaSchema>;
