import { expect, test } from 'vitest';
import { LayoutNumbers } from './field-table.ts';
import { parseLinks } from './links.ts';
import { parseListeners, SockdiagSource } from './sockdiag.ts';
import { collected, fixture } from './test-readings.ts';

/** Answers of inet_diag: a header of 16 bytes, then struct inet_diag_msg. */
function listener(port: number, queued: number, limit: number): Buffer {
  const bytes = Buffer.alloc(16 + 72);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(18, 4);
  bytes[17] = 10;
  bytes.writeUInt16BE(port, 20);
  bytes.writeUInt32LE(queued, 16 + 56);
  bytes.writeUInt32LE(limit, 16 + 60);
  return bytes;
}

const read = (answer: Buffer) => {
  let omitted = 0;
  const ports = collected((take) => {
    omitted = new SockdiagSource(new LayoutNumbers()).read({ dump: () => answer }, take);
  });
  return { ports, omitted };
};

test('the accept queues that this kernel told: two connections wait of four and one', () => {
  expect(read(fixture('listeners-6.18.bin')).ports).toEqual({
    '8080': { 'accept_queue.length': 2, 'accept_queue.limit': 4, 'accept_queue.listeners': 1, 'accept_queue.fill': 2 / 5 },
    '9090': { 'accept_queue.length': 1, 'accept_queue.limit': 128, 'accept_queue.listeners': 1, 'accept_queue.fill': 1 / 129 },
  });
});

test('sockets that share a port are added up, and the fullest one is shown', () => {
  const shared = Buffer.concat([listener(80, 0, 9), listener(80, 10, 9)]);
  expect(read(shared).ports['80']).toEqual({
    'accept_queue.length': 10,
    'accept_queue.limit': 18,
    'accept_queue.listeners': 2,
    'accept_queue.fill': 1,
  });
});

test('of many ports the fullest are told, and the others are counted', () => {
  const many = Buffer.concat(Array.from({ length: 100 }, (_, i) => listener(1000 + i, i === 77 ? 5 : 0, 10)));
  const { ports, omitted } = read(many);
  expect(Object.keys(ports)).toHaveLength(64);
  expect(ports).toHaveProperty('1077');
  expect(omitted).toBe(36);
});

test('a cut or damaged answer ends where it ends', () => {
  const whole = Buffer.concat([listener(80, 1, 9), listener(81, 2, 9)]);
  for (let length = 0; length <= whole.length; length++) {
    const ports = new Map();
    parseListeners(whole.subarray(0, length), ports);
    expect(ports.size).toBe(length === whole.length ? 2 : length >= 88 ? 1 : 0);
    parseLinks(whole.subarray(0, length));
  }
  const endless = Buffer.from(whole);
  endless.writeUInt32LE(0, 0);
  parseListeners(endless, new Map());
  expect(parseLinks(endless).size).toBe(0);
});

test('interfaces by name', () => {
  expect(parseLinks(fixture('links-6.18.bin')).get('lo')).toBe(1);
});
