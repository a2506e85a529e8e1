import { expect, test } from 'vitest';
import { parseNetnsRows } from './rows.ts';

function row(cookie: bigint, inode: number, pid: number, comm: string): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64LE(cookie, 0);
  bytes.writeUInt32LE(inode, 8);
  bytes.writeUInt32LE(pid, 12);
  bytes.write(comm, 16);
  return bytes;
}

const two = Buffer.concat([row(4101n, 4_026_532_246, 1, 'init'), row(2n ** 40n + 5n, 0xffff_ffff, 4_194_304, 'sixteen bytes co')]);
const rows = [
  { cookie: 4101, inode: 4_026_532_246, pid: 1, comm: 'init' },
  { cookie: 2 ** 40 + 5, inode: 0xffff_ffff, pid: 4_194_304, comm: 'sixteen bytes co' },
];

test('rows are read from where they lie in a larger buffer', () => {
  expect(parseNetnsRows(two)).toEqual(rows);
  expect(parseNetnsRows(Buffer.concat([Buffer.alloc(3), two]).subarray(3))).toEqual(rows);
});

test.each([0, 1, 31])('%i bytes of a row are no row', (length) => {
  expect(parseNetnsRows(two.subarray(0, length))).toEqual([]);
  expect(parseNetnsRows(two.subarray(0, 32 + length))).toEqual(rows.slice(0, 1));
});
