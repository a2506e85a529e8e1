// Prometheus, as the system package brings it.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missingNeeds, remedyFor } from '../setup-system.mjs';
import { freePort } from './free-port.mjs';
import { startServer } from './server-process.mjs';

const program = '/usr/bin/prometheus';

function installedVersion() {
  const found = existsSync(program) ? /version (\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' })) : null;
  return found?.[1] ?? 'not installed';
}

/** Starts it, scraping `target` (address and port of what has /metrics) each second. */
async function start({ dataDir, port, target = '127.0.0.1:9464' }) {
  mkdirSync(dataDir, { recursive: true });
  const file = join(dataDir, 'prometheus.yml');
  const config = { global: { scrape_interval: '1s' }, scrape_configs: [{ job_name: 'agent', static_configs: [{ targets: [target] }] }] };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const chosen = port ?? (await freePort());
  const address = `127.0.0.1:${chosen}`;
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(dataDir, 'tsdb')}`,
    `--web.listen-address=${address}`,
    '--log.level=warn',
  ];
  const ready = async () => (await fetch(`http://${address}/-/ready`)).ok;
  const server = await startServer({ name: 'Prometheus', command: program, args, log: join(dataDir, 'prometheus.log'), ready });
  return { ...server, address, port: chosen };
}

export const prometheus = {
  name: 'prometheus',
  usualPort: 9090,
  tier: 'test',
  get version() {
    return installedVersion();
  },
  obstacle() {
    if (existsSync(program)) return undefined;
    const missing = missingNeeds('test').filter((need) => need.file === program);
    return { what: `system package prometheus (${program})`, command: remedyFor(missing) };
  },
  isInstalled: () => existsSync(program),
  install: async () => program,
  start,
};
