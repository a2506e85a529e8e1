import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DeadLetter, EventBatch, MetricBatch, RawMessage } from './bus.ts';
import { CollectorMessage, GatewayMessage } from './collect.ts';

const folder = new URL('golden/', import.meta.url);

const types = { RawMessage, EventBatch, MetricBatch, DeadLetter, CollectorMessage, GatewayMessage } as const;
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => name.slice(0, -4));

/** A decoded message as plain JSON: bytes as hex, what is not set left out. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, inner]) => !key.startsWith('$') && inner !== null && inner !== undefined)
      .map(([key, inner]) => [key, plain(inner)]),
  );
}

/** The reverse of `plain`. */
function revived(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revived);
  if (typeof value !== 'object' || value === null) return value;
  if ('$hex' in value) return Buffer.from(String(value.$hex), 'hex');
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revived(inner)]));
}

/** One message: its bytes, and what they hold (bytes as {"$hex": ...}). Neither is ever rewritten: a new field gets new files. */
function golden(name: string): { type: keyof typeof types; value: Record<string, unknown>; bytes: Buffer } {
  const { type, value } = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as {
    type: keyof typeof types;
    value: Record<string, unknown>;
  };
  return { type, value, bytes: readFileSync(new URL(`${name}.bin`, folder)) };
}

test.each(names)('%s decodes to what it held when it was written', (name) => {
  const { type, value, bytes } = golden(name);
  expect(plain(types[type].decode(bytes))).toMatchObject(value);
});

test.each(names)('%s is still written as it was', (name) => {
  const { type, value, bytes } = golden(name);
  const body = revived(value) as never;
  expect(Buffer.from(types[type].encode(body).finish()).toString('hex')).toBe(bytes.toString('hex'));
});

test('every kind of message on the wire and on the bus is there', () => {
  const bodies = names.flatMap((name) => {
    const { type, value } = golden(name);
    return Object.keys(value)
      .filter((key) => key !== 'seq')
      .map((key) => `${type}.${key}`);
  });
  for (const body of ['hello', 'batch', 'identity', 'keyframe', 'heartbeat', 'replayed'])
    expect(bodies).toContain(`CollectorMessage.${body}`);
  for (const body of ['welcome', 'ack', 'keyframeRequest', 'settings', 'command']) expect(bodies).toContain(`GatewayMessage.${body}`);
  for (const body of ['message', 'tick', 'replay']) expect(bodies).toContain(`RawMessage.${body}`);
  expect(bodies).toEqual(
    expect.arrayContaining(['EventBatch.lines', 'MetricBatch.groups', 'DeadLetter.payload', 'DeadLetter.settlement', 'DeadLetter.claim']),
  );
});

test('fields of a later version do not hinder', () => {
  for (const name of names) {
    const { type, value, bytes } = golden(name);
    // Field 1000: a varint, then one of bytes.
    const later = Buffer.concat([bytes, Buffer.from('c03e05c23e03616263', 'hex')]);
    expect(plain(types[type].decode(later))).toMatchObject(value);
  }
});
