// `npm run soak -- --kills [--rounds 10] [--kafka 3.9.2]`: kill -9 of each role over Kafka, so many times in each combination of
// what Loki may be; and so many times a second aggregator and a second sinks process that join and leave every 10 s. They are
// the tests of CI in another size: test/kill-9-over-kafka.loki.test.ts, test/rebalance-over-kafka.loki.test.ts.
import { fileURLToPath } from 'node:url';
import { kafkaOf } from './servers/kafka.mjs';
import { prepareServer, prepareTier } from './servers/prepare.mjs';
import { setUp } from './setup.mjs';
import { seconds } from './step.mjs';
import { obstacleOf, runVitest } from './test-tiers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = ['test/kill-9-over-kafka.loki.test.ts', 'test/rebalance-over-kafka.loki.test.ts'];
const staySeconds = 10;

async function obstacle(version) {
  return (
    obstacleOf('loki', root) ??
    (await prepareServer(kafkaOf(version))) ??
    (await prepareTier('servers', true)) ??
    (await prepareTier('loki', true))
  );
}

/** Resolves with the exit code: 1 when an event was lost or doubled, 69 when something is missing here. */
export async function soakKills({ rounds, version }) {
  await setUp({ tier: 'test' });
  const missing = await obstacle(version);
  if (missing) {
    say(`it needs ${missing.what}: ${missing.command}`);
    return 69;
  }
  const started = Date.now();
  Object.assign(process.env, {
    JITTERSCOPE_KILL_ROUNDS: String(rounds),
    JITTERSCOPE_KILL_COMBINATIONS: 'all',
    JITTERSCOPE_REBALANCE_ROUNDS: String(rounds),
    JITTERSCOPE_REBALANCE_SECONDS: String(staySeconds),
    JITTERSCOPE_KAFKA: version,
  });
  const { passed, failed } = runVitest(root, 'loki', files, []);
  say(
    `Kafka ${version}, ${rounds} times each role, and ${rounds} rebalances: ${passed} tests passed, ${failed} failed, in ${seconds(Date.now() - started)}`,
  );
  return failed > 0 || passed === 0 ? 1 : 0;
}

function say(line) {
  process.stdout.write(`soak: ${line}\n`);
}
