// Grafana Loki, built from its Go module: one process with all parts, on the loopback, with files as its store.
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { missingNeeds, remedyFor } from '../setup-system.mjs';
import { folderOf, installOnce, isCached } from './cache.mjs';
import { writeCertificates } from './certificates.mjs';
import { freePort } from './free-port.mjs';
import { startServer } from './server-process.mjs';

const module = fileURLToPath(new URL('loki', import.meta.url));
const program = 'github.com/grafana/loki/v3/cmd/loki';
const flags = ['-trimpath', '-mod=readonly', '-ldflags=-s -w'];
const limitMs = 40 * 60_000;
/** An older Go cannot fetch the one that the module asks for by itself, but as a module; older still, it cannot do that. */
const [fetchingGo, oldestGo] = [
  [1, 21],
  [1, 17],
];

const goMod = readFileSync(join(module, 'go.mod'), 'utf8');
const version = /grafana\/loki\/v3 v(\S+)/.exec(goMod)[1];
const goVersion = /^go (\S+)$/m.exec(goMod)[1];
const recipe = createHash('sha256')
  .update(goMod)
  .update(readFileSync(join(module, 'go.sum')))
  .update(flags.join(' '))
  .digest('hex')
  .slice(0, 12);
const name = `loki-${version}-${recipe}`;

/** The Go that is found first: its path and what it says of its version. */
function findGo() {
  const path = (process.env.PATH ?? '').split(delimiter);
  const candidates = [...path, '/usr/local/go/bin', join(homedir(), 'go', 'bin'), '/usr/lib/go/bin'].map((folder) => join(folder, 'go'));
  for (const go of candidates.filter((file) => existsSync(file))) {
    try {
      const found = /go(\d+)\.(\d+)/.exec(execFileSync(go, ['version'], { encoding: 'utf8', cwd: '/' }));
      return { go, version: [Number(found[1]), Number(found[2])] };
    } catch {
      // Not a Go that runs here.
    }
  }
  return undefined;
}

function isOlder([major, minor], than) {
  return major < than[0] || (major === than[0] && minor < than[1]);
}

function obstacle() {
  if (isCached(name)) return undefined;
  const found = findGo();
  if (found !== undefined && !isOlder(found.version, oldestGo)) return undefined;
  const what = `Go ${oldestGo.join('.')} or newer${found === undefined ? '' : ` (found ${found.version.join('.')})`}`;
  const missing = missingNeeds('loki').filter((need) => need.tier === 'loki');
  return { what, command: missing.length > 0 ? remedyFor(missing) : 'install Go into /usr/local/go' };
}

/** The Go that builds: the one that is there, or, where that is too old, the one that it fetches from where modules are had. */
async function goThatBuilds() {
  const found = findGo();
  if (!isOlder(found.version, fetchingGo)) return found.go;
  const toolchain = `toolchain@v0.0.1-go${goVersion}.linux-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const folder = await installOnce(`go-${goVersion}`, async (temporary) => {
    const env = { ...process.env, GOPATH: temporary, GOFLAGS: '-modcacherw' };
    await promisify(execFile)(found.go, ['mod', 'download', `golang.org/${toolchain}`], { cwd: temporary, env, timeout: limitMs });
    const home = join(temporary, 'pkg', 'mod', 'golang.org', toolchain);
    // Modules have no files that run.
    const tools = readdirSync(join(home, 'pkg', 'tool')).map((platform) => join(home, 'pkg', 'tool', platform));
    for (const bin of [join(home, 'bin'), ...tools]) for (const file of readdirSync(bin)) chmodSync(join(bin, file), 0o755);
    rmSync(join(temporary, 'pkg', 'mod', 'cache'), { recursive: true, force: true });
  });
  return join(folder, 'pkg', 'mod', 'golang.org', toolchain, 'bin', 'go');
}

async function build(folder) {
  const go = await goThatBuilds();
  // Each Go knows its own root.
  const env = { ...process.env, CGO_ENABLED: '0', GOROOT: undefined };
  // Beside other work of the machine, not in front of it.
  const args = ['-n', '10', go, 'build', '-p', '2', ...flags, '-o', join(folder, 'loki'), program];
  try {
    await promisify(execFile)('nice', args, { cwd: module, env, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 });
  } catch (thrown) {
    const words = `${thrown.stderr ?? ''}`.split('\n').filter((line) => line !== '' && !line.startsWith('go: downloading'));
    throw new Error(`go build: ${words.slice(-6).join(' ') || thrown.message}`, { cause: thrown });
  }
}

/** Binaries of other recipes are of no use any more; each has 150 MB. */
function removeOthers() {
  const parent = join(folderOf(name), '..');
  const cutoffMs = Date.now() - limitMs;
  for (const other of readdirSync(parent)) {
    if (!other.startsWith('loki-') || other === name) continue;
    const isUnderWay = other.includes('.tmp-') && statSync(join(parent, other)).mtimeMs > cutoffMs;
    if (!isUnderWay) rmSync(join(parent, other), { recursive: true, force: true });
  }
}

/** Section http_tls_config: nobody without a certificate of the authority. Loki reads the server's files for each connection. */
function mutualTls({ ca, server }) {
  return { cert_file: server.cert, key_file: server.key, client_auth_type: 'RequireAndVerifyClientCert', client_ca_file: ca };
}

/** Loki's configuration. Two settings make it ready in a second, instead of half a minute: see its comments. */
function configOf(dataDir, { httpPort, grpcPort }, { tenants, limits, tenantLimits, overrides, certificates }) {
  return {
    auth_enabled: tenants,
    target: 'all',
    server: {
      http_listen_address: '127.0.0.1',
      http_listen_port: httpPort,
      grpc_listen_address: '127.0.0.1',
      grpc_listen_port: grpcPort,
      log_level: 'warn',
      ...(certificates && { http_tls_config: mutualTls(certificates) }),
      graceful_shutdown_timeout: '2s',
    },
    common: {
      instance_addr: '127.0.0.1',
      path_prefix: dataDir,
      replication_factor: 1,
      ring: { instance_addr: '127.0.0.1', kvstore: { store: 'inmemory' } },
      storage: { filesystem: { chunks_directory: join(dataDir, 'chunks'), rules_directory: join(dataDir, 'rules') } },
    },
    analytics: { reporting_enabled: false },
    schema_config: {
      configs: [
        { from: '2024-01-01', store: 'tsdb', object_store: 'filesystem', schema: 'v13', index: { prefix: 'index_', period: '24h' } },
      ],
    },
    // Each ring member waits this long before it calls itself ready.
    ingester: {
      lifecycler: { final_sleep: '0s', min_ready_duration: '0s' },
      wal: { enabled: true, dir: join(dataDir, 'wal') },
      ...overrides.ingester,
    },
    pattern_ingester: { enabled: false, lifecycler: { final_sleep: '0s', min_ready_duration: '0s' } },
    // Queries, and with them readiness, wait until a worker has found a scheduler: by its address, since a ring takes seconds.
    frontend: { scheduler_address: `127.0.0.1:${grpcPort}`, scheduler_dns_lookup_period: '200ms' },
    frontend_worker: { scheduler_address: `127.0.0.1:${grpcPort}`, dns_lookup_duration: '200ms' },
    limits_config: {
      allow_structured_metadata: true,
      volume_enabled: true,
      ingestion_rate_mb: 256,
      ingestion_burst_size_mb: 256,
      per_stream_rate_limit: '256MB',
      per_stream_rate_limit_burst: '256MB',
      ...limits,
    },
    ...(tenantLimits === undefined ? {} : { runtime_config: { file: tenantLimits, period: '1s' } }),
    ...(overrides.distributor && { distributor: overrides.distributor }),
    ...(overrides.querier && { querier: overrides.querier }),
    ruler: {
      enable_api: true,
      evaluation_interval: '2s',
      rule_path: join(dataDir, 'rules-tmp'),
      storage: { type: 'local', local: { directory: join(dataDir, 'rules') } },
      ring: { kvstore: { store: 'inmemory' } },
    },
    compactor: { working_directory: join(dataDir, 'compactor') },
  };
}

/** Whether it answers, as a client that has one of these certificates. */
async function isReady(url, certificates) {
  if (certificates === undefined) return (await fetch(url)).ok;
  const { ca, client } = certificates;
  const material = { ca: readFileSync(ca), cert: readFileSync(client.cert), key: readFileSync(client.key) };
  const [response] = await once(https.get(url, { ...material, agent: false }), 'response');
  response.resume();
  return response.statusCode === 200;
}

/** Loki looks at the file each second. */
function writeTenantLimits(file, overrides) {
  writeFileSync(`${file}.new`, JSON.stringify({ overrides }));
  renameSync(`${file}.new`, file);
}

/**
 * Starts a server. A start in a folder that has been started in takes the ports from before. `port`: of HTTP, at the first
 * start. `tenants`: X-Scope-OrgID is asked for. `limits`: entries of limits_config, `tenantLimits`: those of tenants, by their ids;
 * `overrides`: of `ingester`, `distributor` and `querier`. `secured`: mutual TLS with certificates that it makes.
 */
async function start({ dataDir, port, tenants = false, limits = {}, tenantLimits, overrides = {}, secured = false }) {
  mkdirSync(join(dataDir, 'rules'), { recursive: true });
  const portsFile = join(dataDir, 'ports.json');
  const ports = existsSync(portsFile)
    ? JSON.parse(readFileSync(portsFile, 'utf8'))
    : { httpPort: port ?? (await freePort()), grpcPort: await freePort() };
  writeFileSync(portsFile, JSON.stringify(ports));
  const certificates = secured ? await writeCertificates(join(dataDir, 'certificates')) : undefined;
  const config = join(dataDir, 'loki.yaml');
  const limitsFile = tenantLimits === undefined ? undefined : join(dataDir, 'tenants.yaml');
  // JSON is YAML.
  writeFileSync(
    config,
    JSON.stringify(configOf(dataDir, ports, { tenants, limits, tenantLimits: limitsFile, overrides, certificates }), null, 2),
  );
  if (limitsFile !== undefined) writeTenantLimits(limitsFile, tenantLimits);
  const log = join(dataDir, 'loki.log');
  writeFileSync(log, '');
  const address = `${secured ? 'https' : 'http'}://127.0.0.1:${ports.httpPort}`;
  const ready = async () => isReady(`${address}/ready`, certificates);
  const command = join(folderOf(name), 'loki');
  const server = await startServer({ name: 'Loki', command, args: [`-config.file=${config}`], log, ready });
  const limitTenants = (next) => writeTenantLimits(limitsFile, next);
  return { ...server, address, port: ports.httpPort, certificates, limitTenants };
}

export const loki = {
  name: 'loki',
  usualPort: 3100,
  tier: 'loki',
  onRequest: 'Loki, which is built from source for a quarter of an hour and kept',
  version,
  obstacle,
  isInstalled: () => isCached(name),
  async install() {
    const folder = await installOnce(name, build);
    removeOthers();
    return folder;
  },
  start,
};
