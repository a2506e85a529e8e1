import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { NetnsLab } from './lab/netns-lab.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { eventsOf, LiveRun } from './support/live-run.ts';
import { patiently } from './support/patiently.ts';
import { SmallDisk } from './support/small-disk.ts';

const closedPort = 81;
const limitMs = 60_000;

let folder: TemporaryFolder;
const disks: SmallDisk[] = [];
let lab: NetnsLab | undefined;
let run: LiveRun | undefined;

beforeEach(() => {
  folder = temporaryFolder();
  if (process.getuid?.() === 0) lab = new NetnsLab('-disks');
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  for (const disk of disks.splice(0)) disk.remove();
  folder.remove();
});

/** A file system of its own for a folder. */
function diskAt(path: string): SmallDisk {
  mkdirSync(path, { recursive: true });
  const disk = new SmallDisk(16, path);
  disks.push(disk);
  return disk;
}

kernelTest(
  'a full disk of the spool, of the commits or of the baselines alone is told with its remedy, and what it costs is counted; all goes on when there is room',
  async () => {
    const { a, b } = lab as NetnsLab;
    // Life signs and baselines lie in the data folder itself; all else has room elsewhere.
    const dataDir = join(folder.path, 'data');
    const root = diskAt(dataDir);
    for (const name of ['bus', 'spool', 'state', 'events']) {
      mkdirSync(join(folder.path, name));
      symlinkSync(join(folder.path, name), join(dataDir, name));
    }
    const spool = diskAt(join(folder.path, 'spool'));
    const groups = diskAt(join(folder.path, 'bus', 'groups'));
    const live = (run = await LiveRun.start(dataDir, ['collector.sampleInterval=1s']));
    const collector = async () => (await live.dispositions()).collector;
    const delivered = () => new Set(eventsOf(dataDir, [b.name]).map(({ event }) => event.id));
    let ports = 20_000;
    /** Connects to a closed port: one reset sent in B for each. */
    const refuse = async (count: number): Promise<void> => {
      await (lab as NetnsLab).result(a, 'connect.mjs', a.ipv4, String(ports), String(count), b.ipv4, String(closedPort));
      ports += count;
    };
    /** So many more are delivered, each once. */
    const works = async (when: string): Promise<void> => {
      const before = delivered().size;
      await refuse(20);
      await patiently(`what comes ${when} is delivered`, limitMs, () => delivered().size >= before + 20);
    };
    const said = (text: RegExp) => () => {
      if (!live.process.running) throw new Error(live.process.stderr.slice(-2000));
      return text.test(live.process.stderr);
    };
    await works('at first');

    spool.fill(0);
    await refuse(10);
    await patiently('the spool says that it is full', limitMs, said(/COLLECTOR_SPOOL_REFUSED.*Free space/));
    await patiently('what it refuses is counted', limitMs, async () => (await collector()).skippedItems > 0);
    spool.free();
    await works('when the spool has room again');
    await patiently('the aggregator knows each item that is missing', limitMs, async () => {
      const [{ gaps }] = (await live.dispositions()).aggregator;
      return gaps > 0 && gaps === (await collector()).skippedItems;
    });

    groups.fill(0);
    await refuse(10);
    await patiently('commits say that their disk is full', limitMs, said(/bus\/groups\/.*Free space|Free space.*bus\/groups\//));
    const { skippedItems } = await collector();
    groups.free();
    await works('when commits have room again');

    root.fill(0);
    await patiently('baselines say that their disk is full', limitMs, said(/COLLECTOR_BASELINES_NOT_WRITTEN.*Free space/));
    await works('while the baselines have no room');
    root.free();
    expect((await collector()).skippedItems, 'a disk that only commits or baselines need costs no item').toBe(skippedItems);
    expect((await live.process.stop()).code, live.process.stderr.slice(-2000)).toBe(143);
    const summary = live.process.stdout.slice(live.process.stdout.indexOf('Summary'));
    expect(summary).toContain(`  lost        ${skippedItems} disk_full (the spool gave them up)\n`);
    expect(summary).toContain(`  lost in all ${skippedItems} skipped: disk_full\n`);
    const events = eventsOf(dataDir, [b.name]);
    expect(delivered().size).toBe(events.length);
    process.stdout.write(`full folders: ${events.length} events, ${skippedItems} items skipped\n`);
  },
);
