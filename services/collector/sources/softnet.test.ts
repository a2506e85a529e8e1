import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LayoutNumbers } from './field-table.ts';
import { cpuList, SoftnetSource } from './softnet.ts';
import { collected, fixture } from './test-readings.ts';

const read = (text: string, online: readonly number[]) =>
  collected((take) => expect(new SoftnetSource(new LayoutNumbers()).read(text, online, take)).toBe(true));

test('each kernel prints more columns than the one before', () => {
  expect(read(fixture('softnet-2.6.32.txt').toString(), [0])).toEqual({
    '0': { processed: 10_029, dropped: 1, time_squeeze: 2, cpu_collision: 3 },
  });
  expect(read(fixture('softnet-4.19.txt').toString(), [0, 5])).toEqual({
    '0': { processed: 0xfffffff0, dropped: 2, time_squeeze: 1, cpu_collision: 0, received_rps: 7, flow_limit_count: 4 },
    '5': { processed: 0x10000, dropped: 0, time_squeeze: 0, cpu_collision: 0, received_rps: 0, flow_limit_count: 0 },
  });
  const printed = read(fixture('softnet-5.10.txt').toString(), []);
  expect(Object.keys(printed)).toEqual(['0', '3']);
  expect(printed['0']).toMatchObject({ processed: 17, backlog_len: 9 });
  expect(read(fixture('softnet-6.18.txt').toString(), [])['1']).toMatchObject({ time_squeeze: 3, input_qlen: 0, process_qlen: 0 });
});

test('a column of a kernel to come is shown by its number', () => {
  const line = `${fixture('softnet-6.18.txt').toString().split('\n')[0]} 0000002a\n`;
  expect(read(line, [])['0']).toMatchObject({ column_15: 42 });
});

test('this kernel prints as many rows as CPUs are online', () => {
  const online = cpuList(readFileSync('/sys/devices/system/cpu/online', 'latin1'));
  expect(Object.keys(read(readFileSync('/proc/net/softnet_stat', 'latin1'), online)).map(Number)).toEqual(online);
});

test.each(['', 'x', '0000272d 00000001', '272d 1 2 3 4 5 6 7 8 9'])('%j is refused', (text) => {
  expect(new SoftnetSource(new LayoutNumbers()).read(text, [0], () => undefined)).toBe(false);
});

test('lists of CPUs', () => {
  expect(['0', '0-3', '0,2-3,8\n'].map(cpuList)).toEqual([[0], [0, 1, 2, 3], [0, 2, 3, 8]]);
});
