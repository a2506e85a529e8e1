import { AppError, errorTable, messageOf } from '../../app-error.ts';

/** Failures of the bus over Kafka. */
export const kafkaError = errorTable({
  KAFKA_UNREACHABLE: {
    message: 'Kafka at {brokers} does not answer: {cause}',
    retryable: true,
    remedy: 'It is tried again for ever. Check `bus.kafka.brokers`, the network, and that the brokers run.',
    exitCode: 75,
  },
  KAFKA_TLS: {
    message: 'no secure connection to Kafka at {brokers}: {cause}',
    retryable: false,
    remedy:
      'Check `bus.kafka.tls`: the authority (ca), the name in the certificate of the broker (serverName), the own certificate (cert, key).',
    exitCode: 75,
  },
  KAFKA_AUTHENTICATION: {
    message: 'Kafka at {brokers} refuses the user: {cause}',
    retryable: false,
    remedy: 'Check `bus.kafka.sasl`: the mechanism must be one that the listener allows, the user and the password must be known to it.',
    exitCode: 77,
  },
  KAFKA_FORBIDDEN: {
    message: 'Kafka does not allow {what}: {cause}',
    retryable: false,
    remedy: 'Give the user the right: read, write, create, describe and delete on the topics, read on the groups (docs/operations.md).',
    exitCode: 77,
  },
  KAFKA_REFUSED: {
    message: 'Kafka refused {what}: {cause}',
    retryable: false,
    remedy: "Look into the broker's log.",
  },
  KAFKA_NOT_READY: {
    message: 'Kafka cannot take {what} now: {cause}',
    retryable: true,
    remedy: 'It is tried again. If it stays, look at the replicas and the load of the brokers.',
  },
  KAFKA_BROKER_DISK: {
    message: 'Kafka cannot take {what} now: the disk of the broker fails or is full ({cause})',
    retryable: true,
    remedy: "Free space in the broker's log.dirs and start it again: it gives up a folder that failed. Collectors spool until then.",
  },
  KAFKA_NO_PROGRESS: {
    message:
      'Kafka has messages of {topic}/{partition} from offset {from} to {to}, and of the {bytes} bytes that it sends none can be told',
    retryable: true,
    remedy: "It is asked again. If it stays, the leader's log is damaged: look at the broker's log, and let another replica lead.",
  },
  KAFKA_COMPRESSION: {
    message: '{topic}/{partition} holds a batch compressed with {found}; expected none, gzip or snappy',
    retryable: false,
    remedy: 'Leave the topic setting compression.type at `producer`.',
  },
  KAFKA_FOREIGN_BATCH: {
    message:
      '{topic}/{partition} holds a batch compressed with {found}, which no jitterscope writes: it is passed over, and counted as damaged',
    retryable: false,
    remedy: 'Somebody else writes to the topic. Its ACLs tell who may.',
  },
  KAFKA_TOPIC_MISSING: {
    message: 'topic {topic} does not exist, and `bus.kafka.createTopics` is off',
    retryable: false,
    remedy: 'Create it with {partitions} partitions (docs/operations.md tells its settings), or turn createTopics on.',
    exitCode: 78,
  },
  KAFKA_TOPIC_PARTITIONS: {
    message: 'topic {topic} has {found} partitions, but `bus.kafka.partitions` is {expected}',
    retryable: false,
    remedy: 'Set it to {found}: the number is fixed when the topics are created, because it decides where the data of a node goes.',
    exitCode: 78,
  },
  KAFKA_REPLICATION_FACTOR: {
    message: 'Kafka cannot create {topic}: `bus.kafka.replicationFactor` is {found}, and there are not so many brokers ({cause})',
    retryable: false,
    remedy: 'Set it to the number of brokers: 1 on a single broker, whose loss is the loss of what it holds. 3 where there are 3 or more.',
    exitCode: 78,
  },
  KAFKA_TOPIC_SETTING: {
    message: 'topic {topic} has {setting}={found}; expected {expected}',
    retryable: false,
    remedy: '{remedy}',
    exitCode: 78,
  },
});

/** A failure as kafkajs throws it. */
interface KafkaFailure {
  readonly name: string;
  readonly message: string;
  readonly type?: string;
  readonly code?: string | number;
  readonly retriable?: boolean;
}

/** What kafkajs calls final, and brokers say while they start, stop or lose the controller. */
const passing = /^(UNKNOWN|BROKER_NOT_AVAILABLE|STALE_CONTROLLER_EPOCH|STALE_BROKER_EPOCH|ILLEGAL_SASL_STATE|KAFKAJS_UNKNOWN_ERROR_CODE)$/;
/** A connection that broke, whatever it carried: a broker that restarts ends TLS handshakes, too. */
const broken = /^(ECONNRESET|EPIPE|ETIMEDOUT)$/;
const secure = /certificate|\bTLS\b|\bSSL\b|EPROTO|altname|self.signed|ALERT/i;

/** The project's error for what kafkajs threw. @param what the request, in words */
export function kafkaFailure(thrown: unknown, what: string, brokers: string): AppError {
  if (thrown instanceof AppError) return thrown;
  const { name, message, type = '', code = '', retriable } = (thrown ?? {}) as KafkaFailure;
  const cause = messageOf(thrown);
  if (name === 'KafkaJSSASLAuthenticationError' || /SASL_AUTHENTICATION_FAILED|UNSUPPORTED_SASL_MECHANISM/.test(type))
    return kafkaError('KAFKA_AUTHENTICATION', { brokers, cause }, thrown);
  if (broken.test(String(code)) || /disconnected before secure/.test(message))
    return kafkaError('KAFKA_UNREACHABLE', { brokers, cause }, thrown);
  if (secure.test(`${String(code)} ${message}`)) return kafkaError('KAFKA_TLS', { brokers, cause }, thrown);
  if (/AUTHORIZATION_FAILED/.test(type)) return kafkaError('KAFKA_FORBIDDEN', { what, cause }, thrown);
  if (isConnectionFailure(thrown)) return kafkaError('KAFKA_UNREACHABLE', { brokers, cause }, thrown);
  if (type === 'KAFKA_STORAGE_ERROR') return kafkaError('KAFKA_BROKER_DISK', { what, cause }, thrown);
  if (type === '' || retriable === true || passing.test(type))
    return kafkaError('KAFKA_NOT_READY', { what, cause: type === '' ? cause : `${type}: ${cause}` }, thrown);
  return kafkaError('KAFKA_REFUSED', { what, cause: `${type}: ${cause}` }, thrown);
}

/**
 * The failure as it is for who has worked with these brokers before: a password or certificate that they refuse is renewed by
 * somebody, on their side and on this one, and not on both at once.
 */
export function renewable(failure: AppError): AppError {
  const { code, message, remedy, exitCode, cause } = failure;
  if (!/^KAFKA_(TLS|AUTHENTICATION)$/.test(code)) return failure;
  return new AppError(code, { message, remedy, exitCode, retryable: true }, {}, cause);
}

/** Whether a connection is of no more use after this failure. */
export function isConnectionFailure(thrown: unknown): boolean {
  const name = thrown instanceof Error ? thrown.name : '';
  return /^KafkaJS(Connection|ConnectionClosed|RequestTimeout|LockTimeout|BrokerNotFound)(Error)?$/.test(name);
}

/** Kafka's name of an error (`NOT_COORDINATOR`), where it was the broker that refused. */
export function errorType(thrown: unknown): string | undefined {
  const cause = thrown instanceof AppError ? thrown.cause : thrown;
  return (cause as KafkaFailure | undefined)?.type;
}
