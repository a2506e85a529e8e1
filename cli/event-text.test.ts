import { expect, test } from 'vitest';
import { eventText } from './event-text.ts';

const colours = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
const withoutColours = (text: string): string => text.replace(colours, '');

const hostile = 'x\u001b[2J\u009b\u202e';

/** Every text of an event is hostile; only the colours of the line itself may remain. */
const event = {
  '@timestamp': `2026-11-22T04:31:07${hostile}`,
  message: hostile,
  log: { level: hostile },
  event: { action: hostile, reason: hostile },
  source: { ip: hostile, port: 1 },
  destination: { ip: hostile, port: 81, nat: { ip: hostile, port: 82 } },
  network: { direction: hostile },
  process: { pid: 7, name: hostile },
};

test('no text of an event steers the terminal', () => {
  const text = withoutColours(eventText(JSON.stringify(event)));
  expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(text.match(/x\ufffd\[2J\ufffd\ufffd/gu)).toHaveLength(7);
});

test('an event is one line: time, action, sentence, tuple', () => {
  const line = JSON.stringify({
    '@timestamp': '2026-11-22T04:31:07.123456789Z',
    message: 'web reset a connection',
    event: { action: 'reset-sent', reason: 'no-socket' },
    source: { ip: '2001:db8::2', port: 81 },
    destination: { ip: '198.51.100.1', port: 4242 },
    network: { direction: 'ingress' },
    process: { pid: 7, name: 'curl' },
  });
  expect(withoutColours(eventText(line))).toBe(
    '04:31:07.123 reset-sent     web reset a connection ([2001:db8::2]:81 <- 198.51.100.1:4242 no-socket curl[7])',
  );
});

test('behind a translated address stands who it really is', () => {
  const line = JSON.stringify({
    '@timestamp': '2026-11-22T04:31:07.123456789Z',
    message: 'shop/client-0 retransmitted to shop/web-0',
    event: { action: 'retransmit' },
    source: { ip: '10.244.1.3', port: 4242 },
    destination: { ip: '10.96.0.10', port: 80, nat: { ip: '10.244.1.2', port: 8080 } },
  });
  expect(withoutColours(eventText(line))).toBe(
    '04:31:07.123 retransmit     shop/client-0 retransmitted to shop/web-0 (10.244.1.3:4242 -> 10.96.0.10:80 = 10.244.1.2:8080)',
  );
});
