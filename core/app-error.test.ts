import { expect, test } from 'vitest';
import { AppError, errorTable, messageOf } from './app-error.ts';

const demoError = errorTable({
  DEMO_PORT: { message: 'port {port} of {host}: found {found}', retryable: true, remedy: 'Free port {port}.', exitCode: 75 },
  DEMO_PLAIN: { message: 'no {detail} here, nor {constructor}', retryable: false, remedy: '' },
});

test('an error carries its row, with the details put in', () => {
  const cause = new Error('EADDRINUSE');
  const error = demoError('DEMO_PORT', { port: 81, host: 'web', found: true }, cause);
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({
    name: 'AppError',
    code: 'DEMO_PORT',
    message: 'port 81 of web: found true',
    remedy: 'Free port 81.',
    retryable: true,
    exitCode: 75,
    details: { port: 81, host: 'web', found: true },
    cause,
  });
});

test('a detail that is not given stays visible, and inherited names are no details', () => {
  const error = demoError('DEMO_PLAIN');
  expect(error.message).toBe('no {detail} here, nor {constructor}');
  expect(error.exitCode).toBe(1);
  expect('cause' in error).toBe(false);
});

test('a detail is put in as it is: neither patterns of replace nor braces in it mean anything', () => {
  expect(demoError('DEMO_PORT', { port: '$&{host}$1', host: 'web', found: '' }).message).toBe('port $&{host}$1 of web: found ');
});

test.each([
  [new Error('why'), 'why'],
  ['text', 'text'],
  [undefined, 'undefined'],
  [{ code: 1 }, '[object Object]'],
])('the message of %s is %j', (thrown, message) => {
  expect(messageOf(thrown)).toBe(message);
});

test.each([
  [
    'write EPROTO 80AC47C0047F0000:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/openssl/openssl/ssl/record/ssl3_record.c:350:\n',
    'write EPROTO wrong version number',
  ],
  [
    '80AC47C0047F0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/openssl/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 116\n',
    'tlsv13 alert certificate required',
  ],
  ['error:0480006C:PEM routines::no start line', 'no start line'],
  ['an error: of somebody else:1:2', 'an error: of somebody else:1:2'],
])('what OpenSSL says is told by its reason: %j', (message, told) => {
  expect(messageOf(new Error(message))).toBe(told);
});
