import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { probes } from '../bpf/registry.ts';
import { configSchema } from '../cli/config.ts';
import { shortSocketPath } from '../cli/socket-path.ts';
import { fieldsOf } from '../core/config/field.ts';
import { checkConfig } from '../core/config/load.ts';
import { assign } from '../core/config/tree.ts';
import { askControl } from '../core/control.ts';
import { eventually } from './lab/eventually.ts';
import { CertificateAuthority } from './support/certificate-authority.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { freePort } from './support/free-port.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { writeStormCapture } from './support/reset-storm-capture.ts';

/** A value with one of these in it is a secret of this test. */
const mark = 'hush7Q';
const secretPaths = fieldsOf(configSchema)
  .filter(({ secret }) => secret)
  .map(({ path }) => path.join('.'));
const kinds = ['apiKey', 'password', 'bearerToken'] as const;
const controlQuestions = ['config', 'status', 'storage', 'probes', 'dispositions', 'counters'];

let folder: TemporaryFolder;
let store: Server;
let storeUrl: string;
/** Authorization headers that the store saw. */
const seen = new Set<string>();

/** A store that fails in all ways by turns and, as careless proxies do, repeats what it was sent. */
beforeAll(async () => {
  folder = temporaryFolder();
  let requests = 0;
  store = createServer((request, response) => {
    const authorization = request.headers.authorization ?? '';
    if (authorization !== '') seen.add(authorization);
    request.resume();
    const said = `no: ${authorization} ${Buffer.from(authorization.split(' ')[1] ?? '', 'base64').toString('latin1')}`;
    const answers = [500, 400, 429, 200, 0, 401, 403, 404];
    const status = answers[requests++ % answers.length];
    if (status === 0) {
      request.socket.destroy();
      return;
    }
    response.writeHead(status, { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' });
    response.end(JSON.stringify({ error: { type: 'refused', reason: said }, message: said }));
  });
  store.listen(0, '127.0.0.1');
  await once(store, 'listening');
  storeUrl = `http://127.0.0.1:${(store.address() as AddressInfo).port}`;
});

afterAll(() => {
  store.close();
  store.closeAllConnections();
  folder.remove();
});

/** Where a secret comes from. */
type Source = 'file' | 'environment' | '--set' | 'secret file';
const sources: readonly Source[] = ['file', 'environment', '--set', 'secret file'];

interface Sources {
  /** Arguments of each command that reads the configuration. */
  readonly args: string[];
  readonly environment: Record<string, string>;
  readonly file: string;
}

function variableOf(path: string): string {
  const words = path.split('.').map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return `JITTERSCOPE_${words.join('__')}`;
}

/** A configuration with one kind of credentials in each section that has them, each secret from another source. */
function configurationOf(round: number, gateway: object, port: number): Sources & { readonly secrets: readonly string[] } {
  const dir = mkdtempSync(join(folder.path, 'round-'));
  const file = join(dir, 'config.yaml');
  const tree: Record<string, unknown> = {};
  const put = (path: string, value: unknown): void => assign(tree, path.split('.'), value);
  const [args, environment, secrets]: [string[], Record<string, string>, string[]] = [['-c', file], {}, []];
  const kind = kinds[round % kinds.length];
  for (const [i, path] of secretPaths.entries()) {
    const [section, field = ''] = [path.slice(0, path.lastIndexOf('.')), path.split('.').at(-1)];
    if (section.endsWith('credentials') && field !== kind) continue;
    if (field === 'password') put(`${section}.username`, 'jo');
    if (section.endsWith('.sasl')) put(`${section}.mechanism`, 'plain');
    const value = `${mark}-${round}-${i}`;
    secrets.push(path);
    const source = sources[(i + round) % sources.length];
    if (source === 'file') put(path, value);
    else if (source === 'environment') environment[variableOf(path)] = value;
    else if (source === '--set') args.push('--set', `${path}=${value}`);
    else {
      writeFileSync(join(dir, `secret-${i}`), `${value}\n`);
      put(`${path}File`, join(dir, `secret-${i}`));
    }
  }
  put('sinks.elasticsearch.enabled', true);
  put('sinks.elasticsearch.urls', [storeUrl]);
  put('sinks.loki.enabled', true);
  put('sinks.loki.url', storeUrl);
  put('log.level', 'debug');
  put('metrics.listen', `127.0.0.1:${port}`);
  put('gateway', gateway);
  for (const { name } of probes) put(`collector.probes.${name}.enabled`, false);
  writeFileSync(file, stringify(tree));
  return { args, environment, file, secrets };
}

async function printed(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<string> {
  const process = new JitterscopeProcess(args, environment);
  await process.finish(120_000);
  return process.stdout + process.stderr;
}

/** What a gateway over Kafka says where no broker is, but something that answers. */
async function withoutBroker(args: readonly string[], environment: Readonly<Record<string, string>>, dataDir: string): Promise<string> {
  const broker = [
    'bus.type=kafka',
    `bus.kafka.brokers=[${storeUrl.slice('http://'.length)}]`,
    'metrics.listen=off',
    'gateway.listen=127.0.0.1:0',
  ];
  const words = ['run', '--role', 'gateway', ...args, '--data-dir', dataDir, ...broker.flatMap((set) => ['--set', set])];
  const gateway = new JitterscopeProcess(words, environment);
  onTestFinished(async () => void (await gateway.killHard()));
  await eventually('it tells of the broker', () => /kafka/i.test(gateway.stderr) || !gateway.running);
  await gateway.stop();
  expect(gateway.stderr).toMatch(/kafka/i);
  return gateway.stdout + gateway.stderr;
}

/** Fails with where it stands, not with the whole text. */
function expectNoSecret(what: string, text: string): void {
  const at = text.indexOf(mark);
  expect(at < 0 ? '' : `${what}: ${text.slice(Math.max(0, at - 200), at + 40)}`).toBe('');
  const coded = Buffer.from(`jo:${mark}`).toString('base64').slice(0, 8);
  expect(text.includes(coded) ? `${what}: a password in base64` : '').toBe('');
}

test.each(kinds.map((kind, round) => [kind, round] as const))(
  'secrets are in no output, log, answer, metric or file: %s',
  async (kind, round) => {
    const [metricsPort, gatewayPort] = [await freePort(), await freePort()];
    const gateway = { listen: `127.0.0.1:${gatewayPort}`, replays: true };
    const { args, environment, file, secrets } = configurationOf(round, gateway, metricsPort);
    expect(secrets.filter((path) => path.startsWith('sinks.')).length).toBe(2);
    const dataDir = mkdtempSync(join(folder.path, 'data-'));
    const texts = new Map<string, string>();
    const commands: Record<string, readonly string[]> = {
      'config check': ['config', 'check', file, ...args.slice(2)],
      'config show': ['config', 'show', ...args],
      'config show --json': ['config', 'show', '--json', ...args],
    };
    await Promise.all(Object.entries(commands).map(async ([what, words]) => texts.set(what, await printed(words, environment))));
    expect(texts.get('config show --json')).toContain('(not shown)');

    seen.clear();
    const run = new JitterscopeProcess(['run', ...args, '--data-dir', dataDir], environment);
    onTestFinished(async () => void (await run.killHard()));
    const socket = shortSocketPath(join(dataDir, 'control.sock'));
    const asked = async (method: string): Promise<string> => {
      const answers: unknown[] = [];
      for await (const answer of askControl(socket, method)) answers.push(answer);
      return JSON.stringify(answers);
    };
    await eventually('it answers', () =>
      asked('status').then(
        () => true,
        () => !run.running,
      ),
    );
    expect(run.running, run.stderr).toBe(true);
    const capture = await writeStormCapture(join(folder.path, `capture-${round}.jscap`), 5, 50);
    texts.set('replay', await printed(['replay', capture.file, '--gateway', gateway.listen]));
    expect(texts.get('replay')).toContain(`${capture.messages} messages`);
    await eventually('the store was asked with credentials', () => seen.size >= 2);
    await eventually('sinks tell what is wrong', () => /elasticsearch/i.test(run.stderr) && /loki/i.test(run.stderr));

    if (kind === 'password') texts.set('run over Kafka', await withoutBroker(args, environment, mkdtempSync(join(folder.path, 'kafka-'))));
    // A reload that is refused: the line at fault holds the secret.
    appendFileSync(file, `\nsinks: { loki: { credentials: { password: "${mark}\n`);
    await eventually('the reload is refused', async () => (await asked('config')).includes('"failures":1'));
    for (const method of controlQuestions) texts.set(`control socket: ${method}`, await asked(method));
    for (const page of ['metrics', 'readyz', 'healthz']) {
      texts.set(page, await (await fetch(`http://127.0.0.1:${metricsPort}/${page}`)).text());
    }
    expect(texts.get('metrics')).toContain('jitterscope_');
    texts.set('config show, running', await printed(['config', 'show', '--data-dir', dataDir]));
    texts.set('dlq list', await printed(['dlq', 'list', '--json', '--data-dir', dataDir]));
    await run.stop();
    texts.set('standard output of run', run.stdout);
    texts.set('log of run', run.stderr);
    for (const name of readdirSync(dataDir, { recursive: true, withFileTypes: true })) {
      if (name.isFile()) texts.set(`data folder: ${name.name}`, readFileSync(join(name.parentPath, name.name), 'latin1'));
    }
    for (const [what, text] of texts) expectNoSecret(`${kind}: ${what}`, text);
  },
);

test('mistakes in settings that hold secrets do not tell them, nor do private keys that cannot be used', async () => {
  const dir = mkdtempSync(join(folder.path, 'mistakes-'));
  const authority = new CertificateAuthority(dir);
  const { cert, key } = authority.issue('DNS:node1');
  const pem = readFileSync(key, 'utf8').split('\n');
  const broken = join(dir, 'broken.key');
  writeFileSync(broken, [pem[0], `${mark}${pem[1].slice(mark.length)}`, ...pem.slice(2)].join('\n'));
  const file = join(dir, 'config.yaml');
  writeFileSync(
    file,
    `sinks:\n  loki:\n    credentials:\n      passwort: ${mark}\n      bearerToken: [${mark}]\n    url: http://jo:${mark}@loki\n`,
  );
  const keys = ['gateway.listen=127.0.0.1:0', `gateway.tls.ca=${authority.file}`, `gateway.tls.cert=${cert}`, `gateway.tls.key=${broken}`];
  const mistakes: Record<string, readonly string[]> = {
    'config check': ['config', 'check', file],
    'config check --json': ['config', 'check', '--json', file],
    run: ['run', '-c', file, '-d', join(dir, 'data')],
    'a broken key': ['run', '-d', join(dir, 'data'), '--set', 'metrics.listen=off', ...keys.flatMap((set) => ['--set', set])],
  };
  for (const [what, args] of Object.entries(mistakes)) {
    const process = new JitterscopeProcess(args);
    const { code } = await process.finish(120_000);
    expect(code, `${what}: ${process.stdout}`).toBe(78);
    expectNoSecret(what, process.stdout + process.stderr);
    expect(process.stderr + process.stdout).not.toContain(pem[2]);
  }
  for (const path of secretPaths) {
    for (const set of [`${path.slice(0, path.lastIndexOf('.'))}=${mark}`, `${path}:${mark}`, `${path}=[${mark}]`, `${path}=*${mark}`]) {
      const problems = checkConfig(configSchema, { sets: [set] });
      expect(problems.length, set).toBeGreaterThan(0);
      expectNoSecret(path, JSON.stringify(problems));
    }
  }
});
