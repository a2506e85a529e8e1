// `npm run servers -- <name> [--data-dir <folder> | --install]`: one of the real servers that the
// tests use, in the foreground until ^C, at its usual port where that is free; with --install it is only made ready.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFree } from './servers/free-port.mjs';
import { prepareServer } from './servers/prepare.mjs';
import { servers } from './servers/registry.mjs';

function usage(problem) {
  process.stderr.write(
    `servers: ${problem}\nusage: npm run servers -- <${servers.map(({ name }) => name).join('|')}> [--data-dir <folder> | --install]\n`,
  );
  return 2;
}

function parseArguments(args) {
  const options = {};
  for (let index = 0; index < args.length; index++) {
    if (args[index] === '--data-dir') options.dataDir = args[++index];
    else if (args[index] === '--install') options.installOnly = true;
    else if (args[index].startsWith('-')) return { problem: `unknown option ${args[index]}` };
    else if (options.name === undefined) options.name = args[index];
    else return { problem: `one server at a time; found ${options.name} and ${args[index]}` };
  }
  if (options.name === undefined) return { problem: 'which server?' };
  if ('dataDir' in options && options.dataDir === undefined) return { problem: '--data-dir needs a folder' };
  return options;
}

/** Tells whether SIGINT or SIGTERM has come since the call. */
function listenForInterruption() {
  let interrupted = false;
  const note = () => {
    interrupted = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, note);
  return () => interrupted;
}

/** Until an interruption, or until the server ends by itself. Resolves with the exit code. */
async function untilEnded(running, interrupted) {
  while (!interrupted() && !running.ended()) await new Promise((resolve) => setTimeout(resolve, 100));
  if (!interrupted()) return 1;
  await running.stop();
  return 0;
}

/** Command line. Resolves with the exit code. */
export async function main(args) {
  const { name, dataDir, installOnly, problem } = parseArguments(args);
  if (problem) return usage(problem);
  const server = servers.find((one) => one.name === name);
  if (server === undefined) return usage(`unknown server ${name}`);
  const obstacle = await prepareServer(server);
  if (obstacle) {
    process.stderr.write(`servers: ${name} needs ${obstacle.what}:\n\n    ${obstacle.command}\n`);
    return 69;
  }
  if (installOnly) return 0;
  const folder = dataDir ?? mkdtempSync(join(tmpdir(), `${name}-`));
  try {
    const interrupted = listenForInterruption();
    const port = (await isFree(server.usualPort)) ? server.usualPort : undefined;
    const running = await server.start({ dataDir: folder, port });
    process.stdout.write(`${name} ${server.version} at ${running.address} (process ${running.pid}, log ${running.log}); ^C stops it\n`);
    return await untilEnded(running, interrupted);
  } catch (thrown) {
    process.stderr.write(`servers: ${thrown.message}\n`);
    return 1;
  } finally {
    if (dataDir === undefined) rmSync(folder, { recursive: true, force: true });
  }
}
