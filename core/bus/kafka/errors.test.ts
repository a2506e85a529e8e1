import { expect, test } from 'vitest';
import { errorType, isConnectionFailure, kafkaFailure, renewable } from './errors.ts';
import { protocolFailure } from './kafkajs.ts';

const named = (name: string, message = 'x', code?: string): Error => Object.assign(new Error(message), { name, code });
const handshakeBroke = 'Connection error: Client network socket disconnected before secure TLS connection was established';

test.each<[string, unknown, string, boolean]>([
  ['no connection', named('KafkaJSConnectionError', 'connect ECONNREFUSED 127.0.0.1:9092'), 'KAFKA_UNREACHABLE', true],
  ['a connection that was closed', named('KafkaJSConnectionClosedError'), 'KAFKA_UNREACHABLE', true],
  ['no answer in time', named('KafkaJSRequestTimeoutError'), 'KAFKA_UNREACHABLE', true],
  ['a TLS handshake that broke', named('KafkaJSConnectionError', handshakeBroke, 'ECONNRESET'), 'KAFKA_UNREACHABLE', true],
  ['the same without its code', named('KafkaJSConnectionError', handshakeBroke), 'KAFKA_UNREACHABLE', true],
  ['a TLS connection that was reset', named('KafkaJSConnectionError', 'read ECONNRESET in TLS', 'ECONNRESET'), 'KAFKA_UNREACHABLE', true],
  ['a TLS connection that broke', named('KafkaJSConnectionError', 'write EPIPE to TLS', 'EPIPE'), 'KAFKA_UNREACHABLE', true],
  ['a TLS connection that timed out', named('KafkaJSConnectionError', 'TLS ETIMEDOUT', 'ETIMEDOUT'), 'KAFKA_UNREACHABLE', true],
  [
    'an unknown authority',
    named('KafkaJSConnectionError', 'Connection error: self-signed certificate in certificate chain'),
    'KAFKA_TLS',
    false,
  ],
  ['a wrong password', named('KafkaJSSASLAuthenticationError'), 'KAFKA_AUTHENTICATION', false],
  ['a right that is missing', protocolFailure(29), 'KAFKA_FORBIDDEN', false],
  ['replicas that are missing', protocolFailure(19), 'KAFKA_NOT_READY', true],
  ['a full disk', protocolFailure(56), 'KAFKA_BROKER_DISK', true],
  ['a server that does not know why', protocolFailure(-1), 'KAFKA_NOT_READY', true],
  ['an error of a later version', protocolFailure(999), 'KAFKA_NOT_READY', true],
  ['a request that is wrong', protocolFailure(42), 'KAFKA_REFUSED', false],
])('%s', (_, thrown, code, retryable) => {
  const failure = kafkaFailure(thrown, 'a request', 'kafka-0:9092');
  expect({ code: failure.code, retryable: failure.retryable }).toEqual({ code, retryable });
  expect(kafkaFailure(failure, 'another', 'kafka-0:9092')).toBe(failure);
});

test('what an operator renews is waited for by who was let in before; what is for good stays so', () => {
  const refused = kafkaFailure(named('KafkaJSSASLAuthenticationError', 'wrong {password}'), 'x', 'kafka-0:9092');
  const { code, message, remedy, exitCode, cause, retryable } = renewable(refused);
  expect({ code, message, remedy, exitCode, cause, retryable }).toEqual({
    code: 'KAFKA_AUTHENTICATION',
    message: refused.message,
    remedy: refused.remedy,
    exitCode: refused.exitCode,
    cause: refused.cause,
    retryable: true,
  });
  expect(renewable(kafkaFailure(named('KafkaJSConnectionError', 'self-signed certificate'), 'x', 'y')).retryable).toBe(true);
  expect(renewable(kafkaFailure(protocolFailure(29), 'x', 'y')).retryable).toBe(false);
});

test("the broker's name of an error is kept, and a connection that broke is told apart", () => {
  expect(errorType(kafkaFailure(protocolFailure(6), 'x', 'y'))).toBe('NOT_LEADER_FOR_PARTITION');
  expect(isConnectionFailure(named('KafkaJSRequestTimeoutError'))).toBe(true);
  expect(isConnectionFailure(protocolFailure(6))).toBe(false);
});
