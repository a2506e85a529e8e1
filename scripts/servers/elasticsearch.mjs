// Elasticsearch: one node on the loopback. It is Elastic's own minimal archive, the one that its integration tests use:
// without ILM, scripts, ingest processors, API keys and the route `/`.
import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { folderOf, installOnce, isCached } from './cache.mjs';
import { writeCertificates } from './certificates.mjs';
import { freePort } from './free-port.mjs';
import { javaObstacle, unpackArchive } from './maven.mjs';
import { startServer } from './server-process.mjs';

const version = '8.19.21';
const name = `elasticsearch-${version}`;
const archive = `org.elasticsearch.distribution.integ-test-zip:elasticsearch:${version}:zip`;
// It refuses to run as root: then it is nobody.
const nobody = 65534;
const shortLived = '-XX:TieredStopAtLevel=1';

/** The superuser of a secured server. */
export const elasticsearchUser = { name: 'jitterscope', password: 'only-for-tests' };

function home() {
  return join(folderOf(name), name);
}

function isRoot() {
  return process.getuid?.() === 0;
}

/** The first folder on the way to a path through which nobody may not go. */
function closedTo(path) {
  if (path === dirname(path)) return undefined;
  return closedTo(dirname(path)) ?? ((statSync(path).mode & 0o001) === 0 ? path : undefined);
}

function obstacle() {
  const missing = javaObstacle();
  if (missing !== undefined || !isRoot()) return missing;
  const closed = isCached(name) ? closedTo(home()) : undefined;
  if (closed === undefined) return undefined;
  return { what: `Elasticsearch runs as nobody, who may not go through ${closed}`, command: `chmod o+x ${closed}` };
}

/** Gives a tree to nobody, where this process is root. */
function handOver(path) {
  if (!isRoot()) return;
  chownSync(path, nobody, nobody);
  if (!lstatSync(path).isDirectory()) return;
  for (const entry of readdirSync(path)) handOver(join(path, entry));
}

/** Its configuration folder, made by the first start. `certificates`: of a secured server. */
function writeConfig(config, dataDir, { httpPort, transportPort }, heap, certificates, overrides) {
  mkdirSync(join(config, 'jvm.options.d'), { recursive: true });
  const source = join(home(), 'config');
  cpSync(join(source, 'log4j2.properties'), join(config, 'log4j2.properties'));
  // Its own choice writes 64 MB of garbage collection logs, 32 times.
  const jvm = readFileSync(join(source, 'jvm.options'), 'utf8')
    .split('\n')
    .filter((line) => !/Xlog:gc|HeapDump/.test(line));
  writeFileSync(join(config, 'jvm.options'), jvm.join('\n'));
  const options = [`-Xms${heap}`, `-Xmx${heap}`, shortLived, '-XX:-AlwaysPreTouch'];
  writeFileSync(join(config, 'jvm.options.d', 'test.options'), `${options.join('\n')}\n`);
  const secured = {
    'xpack.security.http.ssl.enabled': true,
    'xpack.security.http.ssl.key': 'server.key',
    'xpack.security.http.ssl.certificate': 'server.crt',
    'xpack.security.http.ssl.certificate_authorities': 'ca.crt',
    'xpack.security.http.ssl.client_authentication': 'optional',
  };
  if (certificates !== undefined) {
    cpSync(certificates.server.key, join(config, 'server.key'));
    cpSync(certificates.server.cert, join(config, 'server.crt'));
    cpSync(certificates.ca, join(config, 'ca.crt'));
  }
  const settings = {
    'cluster.name': 'jitterscope-test',
    'node.name': 'test-1',
    'discovery.type': 'single-node',
    'network.host': '127.0.0.1',
    'http.port': httpPort,
    'transport.port': transportPort,
    'path.data': join(dataDir, 'data'),
    'path.logs': join(dataDir, 'logs'),
    'xpack.security.enabled': certificates !== undefined,
    'cluster.routing.allocation.disk.threshold_enabled': false,
    ...(certificates === undefined ? {} : secured),
    ...overrides,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  writeFileSync(join(config, 'elasticsearch.yml'), `${lines.join('\n')}\n`);
}

/** Users and roles of a secured server: the file realm, by the archive's own tool. */
async function writeUsers(config, roles, users, env) {
  for (const file of ['users', 'users_roles', 'roles.yml', 'role_mapping.yml']) cpSync(join(home(), 'config', file), join(config, file));
  // A role begins where a line does.
  const lines = Object.entries(roles).map(([role, rights]) => `${role}: ${JSON.stringify(rights)}\n`);
  writeFileSync(join(config, 'roles.yml'), lines.join(''));
  for (const { name: user, password, role } of users)
    await promisify(execFile)(join(home(), 'bin', 'elasticsearch-users'), ['useradd', user, '-p', password, '-r', role], { env });
}

/** What a client connects with to a secured server, which may ask for a certificate. */
function clientOf({ ca, client }) {
  return { ca: readFileSync(ca), cert: readFileSync(client.cert), key: readFileSync(client.key) };
}

/** Whether the node's cluster can be used. Its root answers 405. */
function answers(httpPort, certificates) {
  const path = '/_cluster/health?wait_for_status=yellow&timeout=1s';
  const auth = `${elasticsearchUser.name}:${elasticsearchUser.password}`;
  const secured = certificates && { protocol: 'https:', auth, ...clientOf(certificates) };
  const options = { host: '127.0.0.1', port: httpPort, path, timeout: 3_000, ...secured };
  return new Promise((resolve) => {
    const get = certificates === undefined ? http.get : https.get;
    const request = get(options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('error', () => resolve(false)).on('timeout', () => request.destroy());
  });
}

/**
 * Starts a node. A start in a folder that has been started in takes the ports from before. `port`: of HTTP, at the first
 * start. `heap`: as 512m. `overrides`: further settings. `secured`: TLS with certificates that it makes, which clients may
 * have and with `clientCertificates` must, and users: elasticsearchUser, and `users` ({ name, password, role }) with
 * `roles` (as in roles.yml).
 */
async function start(options) {
  const { dataDir, port, heap = '512m', overrides = {}, secured = false, clientCertificates = false, users = [], roles = {} } = options;
  const config = join(dataDir, 'config');
  const temporary = join(dataDir, 'tmp');
  const pidFile = join(dataDir, 'elasticsearch.pid');
  const portsFile = join(dataDir, 'ports.json');
  for (const folder of [dataDir, config, temporary, join(dataDir, 'data'), join(dataDir, 'logs')]) mkdirSync(folder, { recursive: true });
  const closed = isRoot() ? closedTo(dirname(dataDir)) : undefined;
  if (closed !== undefined) throw new Error(`Elasticsearch runs as nobody, who may not go through ${closed}: choose another data folder`);
  const again = existsSync(portsFile);
  const ports = again
    ? JSON.parse(readFileSync(portsFile, 'utf8'))
    : { httpPort: port ?? (await freePort()), transportPort: await freePort() };
  const certificates = secured ? await writeCertificates(join(dataDir, 'certificates')) : undefined;
  const env = {
    ...process.env,
    ES_PATH_CONF: config,
    ES_TMPDIR: temporary,
    LIBFFI_TMPDIR: temporary,
    HOME: dataDir,
    CLI_JAVA_OPTS: shortLived,
    ES_JAVA_HOME: await javaHome(),
  };
  const asks = clientCertificates && { 'xpack.security.http.ssl.client_authentication': 'required' };
  writeConfig(config, dataDir, ports, heap, certificates, { ...asks, ...overrides });
  if (secured && !again) await writeUsers(config, roles, [{ ...elasticsearchUser, role: 'superuser' }, ...users], env);
  writeFileSync(portsFile, JSON.stringify(ports));
  rmSync(pidFile, { force: true });
  const log = join(dataDir, 'elasticsearch.log');
  writeFileSync(log, '');
  handOver(dataDir);
  const program = join(home(), 'bin', 'elasticsearch');
  const args = ['-p', pidFile];
  // A change of user would let the signal of a dying parent go.
  const asNobody = ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', '--pdeathsig', 'keep', program, ...args];
  const launcher = await startServer({
    name: 'Elasticsearch',
    ...(isRoot() ? { command: 'setpriv', args: asNobody } : { command: program, args }),
    env,
    log,
    ready: () => answers(ports.httpPort, certificates),
  });
  const pid = Number(readFileSync(pidFile, 'utf8'));
  return {
    ...launcher,
    // The launcher's child is the server: that one is killed, and its end is the launcher's.
    pid,
    async kill() {
      if (launcher.ended()) return;
      process.kill(pid, 'SIGKILL');
      while (!launcher.ended()) await sleep(20);
    },
    address: `${secured ? 'https' : 'http'}://127.0.0.1:${ports.httpPort}`,
    port: ports.httpPort,
    certificates,
  };
}

/** The Java that runs as `java`: the archive has none. */
async function javaHome() {
  if (process.env.ES_JAVA_HOME !== undefined) return process.env.ES_JAVA_HOME;
  const { stderr } = await promisify(execFile)('java', ['-XshowSettings:properties', '-version']);
  return /java\.home = (.+)/.exec(stderr)?.[1];
}

export const elasticsearch = {
  name: 'elasticsearch',
  usualPort: 9200,
  version,
  tier: 'servers',
  obstacle,
  isInstalled: () => isCached(name),
  install: () =>
    installOnce(name, async (folder) => {
      await unpackArchive(folder, archive);
      chmodSync(folder, 0o755);
    }),
  start,
};
