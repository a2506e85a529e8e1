// `npm test -- [--tier unit] [file ...]`: set-up, then the tests, tier by tier. The last line is the sum:
// `N passed, N failed, N skipped`. REQUIRE_TIERS=kernel,promise makes a tier that cannot run here a failure.
import { fileURLToPath } from 'node:url';
import { prepareTier } from './servers/prepare.mjs';
import { setUp } from './setup.mjs';
import { seconds } from './step.mjs';
import { filterFrom, obstacleOf, runScript, runVitest, testsOfAddon, tierNames, tiersInOnePiece, tiersOnRequest } from './test-tiers.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** `{ passed, failed, skipped }` in words. */
export function inWords(counts) {
  return `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
}

function parseArguments(args) {
  const tiers = [];
  const filters = [];
  for (let index = 0; index < args.length; index++) {
    if (args[index] === '--tier') tiers.push(...String(args[++index]).split(','));
    else if (args[index].startsWith('-')) return { problem: `unknown option ${args[index]}; there is --tier <${tierNames.join('|')}>` };
    else filters.push(filterFrom(root, args[index]));
  }
  const unknown = tiers.find((tier) => !tierNames.includes(tier));
  if (unknown !== undefined) return { problem: `unknown tier ${unknown}; there are ${tierNames.join(', ')}` };
  return { tiers: tiers.length > 0 ? tiers : tierNames, named: tiers, filters };
}

/** Tells that a tier, or a part of it, does not run here. */
function skip(tier, obstacle, required) {
  process.stdout.write(`SKIPPED ${tier}: ${obstacle.what} : ${obstacle.command}\n`);
  return required.includes(tier) ? { passed: 0, failed: 1, skipped: 0 } : { passed: 0, failed: 0, skipped: 1 };
}

function runUnit(filters, required) {
  const obstacle = obstacleOf('native', root);
  const without = obstacle ? testsOfAddon(root) : [];
  const counts = runVitest(root, 'unit', filters, without);
  if (without.length === 0) return counts;
  const left = skip('unit', { ...obstacle, what: `${without.length} files need ${obstacle.what}` }, required);
  return { passed: counts.passed, failed: counts.failed + left.failed, skipped: counts.skipped + left.skipped };
}

async function runTier(tier, named, filters, required) {
  if (tier === 'unit') return runUnit(filters, required);
  const wanted = named.includes(tier) || required.includes(tier);
  const obstacle = obstacleOf(tier, root) ?? (wanted ? undefined : tiersOnRequest[tier]) ?? (await prepareTier(tier, wanted));
  if (obstacle) return skip(tier, obstacle, required);
  return tiersInOnePiece.includes(tier) ? runScript(root, tier) : runVitest(root, tier, filters, []);
}

/** Command line. Resolves with the exit code. */
export async function main(args) {
  const { tiers, named, filters, problem } = parseArguments(args);
  if (problem) {
    process.stderr.write(`test: ${problem}\n`);
    return 2;
  }
  const required = (process.env.REQUIRE_TIERS ?? '').split(',');
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const found = await setUp({ tier: 'test' });
  if (!found.packages || !found.typescript) sum.failed += 1;
  const lines = [];
  for (const tier of found.packages ? tiers : []) {
    if (tiersInOnePiece.includes(tier) && filters.length > 0) continue;
    const started = Date.now();
    const counts = await runTier(tier, named, filters, required);
    if (required.includes(tier) && filters.length === 0 && counts.passed + counts.failed === 0) counts.failed = 1;
    lines.push(`${tier}: ${inWords(counts)} (${seconds(Date.now() - started)})`);
    for (const key of Object.keys(sum)) sum[key] += counts[key];
  }
  process.stdout.write(`\n${lines.join('\n')}\n${inWords(sum)}\n`);
  return sum.failed > 0 || sum.passed === 0 ? 1 : 0;
}
