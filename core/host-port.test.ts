import { expect, test } from 'vitest';
import { hostPortText, isLoopback, parseHostPort } from './host-port.ts';

test.each([
  ['gateway.shop.svc:9463', 'gateway.shop.svc', 9463, false],
  ['0.0.0.0:0', '0.0.0.0', 0, false],
  ['127.1.2.3:65535', '127.1.2.3', 65_535, true],
  ['localhost:1', 'localhost', 1, true],
  ['[::1]:80', '::1', 80, true],
  ['[2001:db8::1]:80', '2001:db8::1', 80, false],
  ['127.example.com:80', '127.example.com', 80, false],
])('%s is host and port, and is written the same way', (text, host, port, loopback) => {
  const found = parseHostPort(text);
  expect(found).toEqual({ host, port });
  expect(found === undefined ? '' : hostPortText(found)).toBe(text);
  expect(isLoopback(host)).toBe(loopback);
});

test.each(['', 'host', 'host:', ':80', 'host:65536', '::1:80', '[host]:80', 'http://host:80', 'a b:80', 'unix:/a.sock'])(
  '%o is neither',
  (text) => expect(parseHostPort(text)).toBeUndefined(),
);
