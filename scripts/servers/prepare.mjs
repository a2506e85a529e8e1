// Installs servers and what they need of the system, where this process may.
import { fileURLToPath } from 'node:url';
import { withLock } from '../setup.mjs';
import { canInstall, installNeeds, missingNeeds } from '../setup-system.mjs';
import { say, seconds } from '../step.mjs';
import { servers } from './registry.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Installs what a server lacks. What keeps it from running: `{ what, command }`, or undefined. */
export async function prepareServer(server) {
  const obstacle = await obstacleAfterPackages(server);
  if (obstacle || server.isInstalled()) return obstacle;
  const started = Date.now();
  say(`installing ${server.name} ${server.version}, once ...`);
  try {
    await server.install();
    say(`installed ${server.name} in ${seconds(Date.now() - started)}`);
    return undefined;
  } catch (thrown) {
    return { what: `${server.name}, which could not be installed: ${thrown.message}`, command: `npm run servers -- ${server.name}` };
  }
}

async function obstacleAfterPackages(server) {
  const obstacle = server.obstacle();
  if (obstacle === undefined || !canInstall()) return obstacle;
  const needed = () => missingNeeds(server.tier);
  // A set-up beside this one may be installing packages, too; apt's lists have one user.
  await withLock(root, () => {
    if (needed().length > 0) installNeeds(needed(), needed);
  });
  return server.obstacle();
}

/**
 * Makes the servers of a tier of tests ready. `wanted`: the tier was asked for by name; a server that takes long to install
 * (`onRequest` says why) is only then installed.
 */
export async function prepareTier(tier, wanted) {
  for (const server of servers.filter((one) => one.tier === tier)) {
    if (server.onRequest !== undefined && !wanted && !server.isInstalled())
      return { what: server.onRequest, command: `npm test -- --tier ${tier}` };
    const obstacle = await prepareServer(server);
    if (obstacle) return obstacle;
  }
  return undefined;
}
