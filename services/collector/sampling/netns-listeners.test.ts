import { expect, test } from 'vitest';
import { FieldTable, LayoutNumbers } from '../sources/field-table.ts';
import type { TakeReading } from '../sources/source.ts';
import { NetnsListeners, type SocketSigns } from './netns-listeners.ts';

const handle = { dump: () => Buffer.alloc(0) };
const table = new FieldTable('sockdiag', new LayoutNumbers(), 64);
const columns = Int32Array.of(table.indexOf('accept_queue.length'));

/** Listeners of a kernel that is asked and counted. */
function kernelOf(queues: Record<string, number>) {
  const kernel = { asked: 0, queues };
  const source = {
    read(_: unknown, take: TakeReading): number {
      kernel.asked++;
      for (const [port, length] of Object.entries(kernel.queues))
        take({ key: port, labels: { port } }, { table, columns, values: Float64Array.of(length) });
      return 0;
    },
  };
  const listeners = new NetnsListeners(source);
  const told = (signs: SocketSigns, anew = false): Record<string, number> => {
    const found: Record<string, number> = {};
    listeners.read(handle, signs, anew, ({ key }, { values }) => {
      found[key] = values[0];
    });
    return found;
  };
  return { kernel, told };
}

test('empty queues are told each time, and asked for when a connection came, sockets changed, or a while has passed', () => {
  const { kernel, told } = kernelOf({ 80: 0 });
  const signs = { inuse: 1, passiveOpens: 7 };
  for (let read = 0; read < 5; read++) expect(told(signs)).toEqual({ 80: 0 });
  expect(kernel.asked).toBe(1);
  told(signs);
  expect(kernel.asked).toBe(2);
  kernel.queues = { 80: 3 };
  expect(told({ inuse: 1, passiveOpens: 10 })).toEqual({ 80: 3 });
  expect(kernel.asked).toBe(3);
  kernel.queues = { 80: 0, 81: 0 };
  expect(told({ inuse: 2, passiveOpens: 10 })).toEqual({ 80: 0, 81: 0 });
});

test('a queue that holds something is asked for each time: accept() leaves no sign', () => {
  const { kernel, told } = kernelOf({ 80: 2 });
  const signs = { inuse: 1, passiveOpens: 2 };
  told(signs);
  kernel.queues = { 80: 1 };
  expect(told(signs)).toEqual({ 80: 1 });
  kernel.queues = { 80: 0 };
  expect(told(signs)).toEqual({ 80: 0 });
  expect(kernel.asked).toBe(3);
  told(signs);
  expect(kernel.asked).toBe(3);
});

test('without a socket the kernel is not asked; anew it always is', () => {
  const { kernel, told } = kernelOf({ 80: 0 });
  expect(told({ inuse: 0, passiveOpens: 0 })).toEqual({});
  expect(kernel.asked).toBe(0);
  told({ inuse: 1, passiveOpens: 0 });
  told({ inuse: 1, passiveOpens: 0 }, true);
  expect(kernel.asked).toBe(2);
});
