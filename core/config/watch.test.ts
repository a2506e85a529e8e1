import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../test/lab/eventually.ts';
import { PathWatch } from './watch.ts';

const watches: PathWatch[] = [];
const dirs: string[] = [];

afterEach(() => {
  for (const watch of watches.splice(0)) watch.close();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'jitterscope-watch-'));
  dirs.push(dir);
  return dir;
}

/** How often a change of the path was told. Only what the system tells counts, unless it is looked at. */
function countOf(path: string, pollMs = 3_600_000): { readonly told: number } {
  const count = { told: 0 };
  watches.push(new PathWatch(path, () => count.told++, { settleMs: 20, maxSettleMs: 200, pollMs }));
  return count;
}

/** Any number of times: one that is seen once only would be seen by the first. */
async function seenEachTime(count: { readonly told: number }, change: (round: number) => void): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (let round = 0; round < 10; round++) {
    const before = count.told;
    change(round);
    await eventually(`change ${round} is told`, () => count.told > before);
  }
}

test('a plain edit is told', async () => {
  const file = join(folder(), 'config.yaml');
  writeFileSync(file, 'a');
  await seenEachTime(countOf(file), (round) => writeFileSync(file, `a${round}`));
});

test('a rename over the file is told', async () => {
  const dir = folder();
  const file = join(dir, 'config.yaml');
  writeFileSync(file, 'a');
  await seenEachTime(countOf(file), (round) => {
    writeFileSync(join(dir, 'new'), `a${round}`);
    renameSync(join(dir, 'new'), file);
  });
});

test('a swap of the link that kubelet keeps is told', async () => {
  const dir = folder();
  const publish = (round: number): void => {
    mkdirSync(join(dir, `..${round}`));
    writeFileSync(join(dir, `..${round}`, 'config.yaml'), `a${round}`);
    symlinkSync(`..${round}`, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    if (round > 0) rmSync(join(dir, `..${round - 1}`), { recursive: true });
  };
  publish(0);
  symlinkSync('..data/config.yaml', join(dir, 'config.yaml'));
  await seenEachTime(countOf(join(dir, 'config.yaml')), (round) => publish(round + 1));
});

test('a folder that is replaced as a whole, a file that goes and comes, and a link to elsewhere are noticed by looking', async () => {
  const dir = folder();
  mkdirSync(join(dir, 'etc'));
  writeFileSync(join(dir, 'elsewhere'), 'a');
  const file = join(dir, 'etc', 'config.yaml');
  symlinkSync('../elsewhere', file);
  const count = countOf(file, 20);
  await seenEachTime(count, (round) => writeFileSync(join(dir, 'elsewhere'), `a${round}`));
  await seenEachTime(count, (round) => {
    mkdirSync(join(dir, 'next'));
    writeFileSync(join(dir, 'next', 'config.yaml'), `b${round}`);
    renameSync(join(dir, 'etc'), join(dir, `old${round}`));
    renameSync(join(dir, 'next'), join(dir, 'etc'));
  });
  await seenEachTime(count, (round) => (round % 2 === 0 ? unlinkSync(file) : writeFileSync(file, 'c')));
});

test('files that come, go and change in a watched folder are told; so is a folder that was not there', async () => {
  const dir = join(folder(), 'rules');
  const count = countOf(dir, 20);
  await new Promise((resolve) => setTimeout(resolve, 50));
  mkdirSync(dir);
  await eventually('the folder is told', () => count.told > 0);
  await seenEachTime(count, (round) => {
    if (round % 3 === 2) unlinkSync(join(dir, 'a.yaml'));
    else writeFileSync(join(dir, 'a.yaml'), `a${round}`);
  });
});

test('another file of the same folder tells nothing; many changes are told together, but not put off for ever', async () => {
  const dir = folder();
  const file = join(dir, 'config.yaml');
  writeFileSync(file, 'a');
  const count = countOf(file);
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (let i = 0; i < 20; i++) writeFileSync(join(dir, 'other'), `${i}`);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(count.told).toBe(0);
  let writes = 0;
  const writing = setInterval(() => writeFileSync(file, `a${++writes}`), 5);
  await eventually('a file that never rests is told', () => count.told >= 2);
  clearInterval(writing);
  expect(count.told).toBeLessThan(writes / 2);
});
