// Fake collectors in a process of their own, so that they can be killed: argument 1 is FleetOptions as JSON. They make
// load until standard input ends, then wait until all is acked and say how many messages stay in the spools.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '../../core/log.ts';
import { configuredTarget } from '../../services/collector/gateway-target.ts';
import type { FleetOptions } from './collector-fleet.ts';
import { ExpectedEvents } from './expected-events.ts';
import { FakeCollector } from './fake-collector.ts';
import { FleetLedger } from './fleet-ledger.ts';
import { Random } from './random.ts';

const graceMs = 120_000;

const options = JSON.parse(process.argv[2]) as FleetOptions;
const { folder, gatewayAddress, nodes, firstNode, recordsPerSecond, bootMs, timeFlows = false } = options;
const ledger = new FleetLedger(join(folder, 'ledger'));
const random = new Random(options.seed);
const gateway = configuredTarget({ address: gatewayAddress, tls: undefined, allowPlaintext: false }, createLog('silent'));
if (gateway === undefined) throw new Error(`${gatewayAddress} is no address`);
let ending = false;
process.stdin.once('end', () => (ending = true)).resume();

const collectors = await Promise.all(
  Array.from({ length: nodes }, (_, index) =>
    FakeCollector.start({
      node: firstNode + index,
      spoolDir: join(folder, `spool${index}`),
      gateway,
      events: new ExpectedEvents(),
      clockS: Math.floor(bootMs / 1000),
    }),
  ),
);
// A later life is of the same boot.
for (const collector of collectors) collector.pass(Math.floor((Date.now() - bootMs) / 1000));
process.stdout.write('working\n');
const begunMs = performance.now();
/** Nodes have as many records each on average, in batches of about 20 a second. */
const mostRecords = Math.ceil(recordsPerSecond / nodes / 10);
let made = 0;
let flownS = 0;
while (!ending) {
  const passedS = timeFlows ? Math.floor((performance.now() - begunMs) / 1000) : 0;
  for (const collector of collectors) collector.pass(passedS - flownS);
  flownS = passedS;
  for (const collector of collectors) {
    const count = random.integer(1, mostRecords + 1);
    ledger.note('begun', collector.prefix, collector.nextItem + count);
    collector.batch(count);
    made += count;
  }
  await Promise.all(collectors.map((collector) => collector.spooled()));
  for (const { prefix, nextItem } of collectors) ledger.note('spooled', prefix, nextItem);
  await sleep(Math.max(1, begunMs + (made / recordsPerSecond) * 1000 - performance.now()));
}
const left = await Promise.all(collectors.map((collector) => collector.close(graceMs)));
ledger.close();
process.stdout.write(`left ${left.reduce((sum, count) => sum + count, 0)}\n`);
