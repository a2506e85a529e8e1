import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import { AppError, messageOf } from '../../../core/app-error.ts';
import { createLog } from '../../../core/log.ts';
import { topics } from '../../../proto/bus.ts';
import type { RunningLoki } from '../../../scripts/servers/loki.mjs';
import { CertificateAuthority, type CertificateFiles, replaceFile } from '../../../test/support/certificate-authority.ts';
import { temporaryFolder } from '../../../test/support/data-folder.ts';
import { EventStream } from '../../../test/support/event-stream.ts';
import { FaultProxy } from '../../../test/support/fault-proxy.ts';
import { holdingOf, LokiRun } from '../../../test/support/loki-run.ts';
import { startLoki } from '../../../test/support/loki-server.ts';
import { patiently } from '../../../test/support/patiently.ts';
import { lokiSinkSchema } from './config.ts';
import { openLokiSink } from './loki-sink.ts';

const log = createLog('silent');
const signal = new AbortController().signal;
const folder = temporaryFolder();
const limitMs = 60_000;
const unverified = /LOKI_TLS: .*(issuer|self-signed|verify)/;
const nowS = Math.floor(Date.now() / 1000);
const at = (name: string): string => join(folder.path, name);
const proxies: FaultProxy[] = [];
let server: RunningLoki;
/** What Loki's certificates are of. */
let own: { readonly ca: string; readonly client: CertificateFiles };
/** The authority that Loki knows, and one that it does not. */
let [authority, other]: CertificateAuthority[] = [];

beforeAll(async () => {
  server = await startLoki({ dataDir: at('loki'), secured: true, limits: { discover_log_levels: false } });
  const { ca = '', client = { cert: '', key: '' } } = server.certificates ?? {};
  own = { ca, client };
  mkdirSync(at('pki'));
  authority = new CertificateAuthority(at('pki'), 'authority', { cert: ca, key: ca.replace(/crt$/, 'key') });
  other = new CertificateAuthority(at('pki'), 'other');
});
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await server?.kill();
  folder.remove();
});

const materialOf = ({ cert, key }: CertificateFiles) => ({ cert: readFileSync(cert), key: readFileSync(key) });
const asClient = () => ({ ...materialOf(own.client), ca: readFileSync(own.ca) });

/** A proxy before Loki with a certificate of `authority`. */
async function proxyWith(names: string, days?: number): Promise<FaultProxy> {
  const { cert, key } = authority.issue(names, days);
  const proxy = await FaultProxy.start(server.address, { tls: materialOf({ cert, key }), targetTls: asClient() });
  proxies.push(proxy);
  return proxy;
}

type Section = z.input<typeof lokiSinkSchema>;

/** What a start makes of it: 'taken', or the code and the text of the error. */
async function outcome(section: Section): Promise<string> {
  try {
    const sink = await openLokiSink({ config: lokiSinkSchema.parse({ timeout: '5s', ...section }), cluster: 'c1', log });
    await sink.check(signal).finally(() => sink.close());
    return 'taken';
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AppError);
    const { code, message, remedy, retryable } = thrown as AppError;
    expect(remedy.length).toBeGreaterThan(20);
    expect(`${message} ${remedy}`).not.toContain('hush');
    return `${code}${retryable ? ' (retryable)' : ''}: ${message}`;
  }
}

test('mutual TLS with Loki itself: the right certificates are taken, each mistake is told as what it is, and needs an operator', async () => {
  const { ca, client } = own;
  const { cert, key } = client;
  const url = server.address;
  const plain = await FaultProxy.start('http://127.0.0.1:1');
  plain.fault = () => ({ status: 204 });
  proxies.push(plain);
  const told: Record<string, string> = {
    right: await outcome({ url, tls: { ca, cert, key } }),
    'right name': await outcome({ url, tls: { ca, cert, key, serverName: 'localhost' } }),
    'json, too': await outcome({ url, tls: { ca, cert, key }, encoding: 'json' }),
    'another authority': await outcome({ url, tls: { ca: other.file, cert, key } }),
    'no authority': await outcome({ url, tls: { cert, key } }),
    'another name': await outcome({ url, tls: { ca, cert, key, serverName: 'loki.example' } }),
    'no certificate': await outcome({ url, tls: { ca } }),
    'certificate of another authority': await outcome({ url, tls: { ca, ...other.issue('DNS:jitterscope') } }),
    'certificate that has expired': await outcome({ url, tls: { ca, ...authority.issue('DNS:j', -1) } }),
    'expired server': await outcome({ url: (await proxyWith('IP:127.0.0.1', -1)).address, tls: { ca: authority.file } }),
    'http to TLS': await outcome({ url: url.replace('https', 'http') }),
    'TLS to http': await outcome({ url: plain.address.replace('http', 'https'), tls: { ca } }),
  };
  process.stdout.write(
    `${Object.entries(told)
      .map(([mistake, text]) => `${mistake} -> ${text}`)
      .join('\n')}\n`,
  );
  const expected: Record<string, RegExp> = {
    right: /^taken$/,
    'right name': /^taken$/,
    'json, too': /^taken$/,
    'another authority': unverified,
    'no authority': unverified,
    'another name': /^LOKI_TLS: .*loki\.example/,
    'no certificate': /^LOKI_TLS: .*certificate required/,
    'certificate of another authority': /^LOKI_TLS: .*(unknown ca|bad certificate)/,
    'certificate that has expired': /^LOKI_TLS: .*certificate expired/,
    'expired server': /^LOKI_TLS: .*certificate has expired/,
    'http to TLS': /^LOKI_WITH_TLS: /,
    'TLS to http': /^LOKI_TLS: .*wrong version number/,
  };
  expect(told).toEqual(Object.fromEntries(Object.entries(expected).map(([mistake, text]) => [mistake, expect.stringMatching(text)])));
});

/** A run of the sink, whose events go on while files are broken and mended. */
class Flow {
  readonly #run: LokiRun;
  readonly #stream: EventStream;
  readonly #prefix: string;
  #count = 0;

  private constructor(run: LokiRun, prefix: string) {
    this.#run = run;
    this.#prefix = prefix;
    this.#stream = new EventStream({ prefix, node: 'node1', startS: nowS - 30, stepNs: 1_000_000 });
  }

  static async start(name: string, prefix: string, section: Section): Promise<Flow> {
    return new Flow(await LokiRun.start(at(name), { loki: { enabled: true, timeout: '5s', ...section } }), prefix);
  }

  async #append(): Promise<void> {
    await this.#run.bus.append(topics.events, 0, [this.#stream.next(100)]);
    this.#count += 100;
  }

  /** More events are taken. */
  async flows(what: string): Promise<void> {
    await this.#append();
    await patiently(what, limitMs, async () => (await this.#run.lag('loki')) === 0 && this.#run.sinks.ready().ready);
  }

  /** More events wait, readiness is off, and what is said of it has these words. */
  async stands(what: string, words: RegExp): Promise<void> {
    const problems = () => this.#run.sinks.ready().problems.join();
    // Files are looked at every 5 s, when something is sent.
    const isHeld = async () => this.#append().then(() => words.test(problems()));
    await patiently(what, limitMs, isHeld).catch((thrown: unknown) => {
      throw new Error(`${messageOf(thrown)}: ${problems()} ${this.#run.countersOf('loki').problem}`);
    });
    expect(this.#run.sinks.ready().ready).toBe(false);
  }

  /** Loki holds each event once, and none was given up. */
  async expectAllOnce(): Promise<void> {
    const { distinct, lines } = await holdingOf({ address: server.address, tls: asClient() }, this.#prefix, nowS - 60, nowS + 60);
    expect({ distinct: distinct.size, lines }).toEqual({ distinct: this.#count, lines: this.#count });
    expect(this.#run.countersOf('loki').delivery.possiblyDuplicatedEvents).toBe(0);
    expect(await this.#run.deadLetters()).toEqual([]);
    await this.#run.close();
  }
}

/** Puts a certificate with its key in the place of the one before. */
function renew(files: CertificateFiles, by: CertificateAuthority, days?: number): void {
  const { cert, key } = by.issue('DNS:jitterscope', days);
  replaceFile(cert, files.cert);
  replaceFile(key, files.key);
}

// They wait for files to be looked at.
test.concurrent('an own certificate that expires or is of another authority: readiness off, nothing lost, on again when it is renewed', async () => {
  const files = { cert: at('client.pem'), key: at('client.key') };
  renew(files, authority, -1);
  const flow = await Flow.start('client', '00000000000000a1', { url: server.address, tls: { ca: own.ca, ...files } });
  await flow.stands('the expired certificate holds it back', /LOKI_TLS: .*certificate expired/);
  renew(files, authority);
  await flow.flows('it goes on with the renewed certificate');
  renew(files, other);
  await flow.stands('the certificate of another authority holds it back', /LOKI_TLS: .*(unknown ca|bad certificate)/);
  renew(files, authority);
  await flow.flows('it goes on with the right one');
  await flow.expectAllOnce();
});

test.concurrent('a server whose certificate expires or is of another authority: readiness off, nothing lost, on again when it is mended', async () => {
  const ca = at('ca.pem');
  replaceFile(other.file, ca);
  const proxy = await proxyWith('IP:127.0.0.1');
  const flow = await Flow.start('server', '00000000000000a2', { url: proxy.address, tls: { ca } });
  await flow.stands('the wrong authority holds it back', unverified);
  replaceFile(authority.file, ca);
  await flow.flows('it goes on with the right authority');
  proxy.renew(materialOf(authority.issue('IP:127.0.0.1', -1)));
  await flow.stands('the expired server holds it back', /LOKI_TLS: .*certificate has expired/);
  proxy.renew(materialOf(authority.issue('IP:127.0.0.1')));
  await flow.flows('it goes on with the renewed server');
  proxy.renew(materialOf(other.issue('IP:127.0.0.1')));
  await flow.stands('the server of another authority holds it back', unverified);
  replaceFile(other.file, ca);
  await flow.flows('it goes on with that authority');
  await flow.expectAllOnce();
});

test.concurrent.each([
  ['basic', 'passwordFile', { username: 'jö' }, (secret: string) => `Basic ${Buffer.from(`jö:${secret}`).toString('base64')}`],
  ['bearer', 'bearerTokenFile', {}, (secret: string) => `Bearer ${secret}`],
] as const)(
  '%s authentication over TLS, from a file: a wrong secret holds events back, and the mended file lets them go on',
  async (name, field, more, headerOf) => {
    const secretFile = at(`${name}-secret`);
    let wanted = 'hush-1';
    writeFileSync(secretFile, 'hush-0\n');
    const proxy = await proxyWith('DNS:loki.example');
    proxy.fault = ({ headers: { authorization } }) =>
      authorization === headerOf(wanted) ? 'pass' : { status: 401, body: `no such user: ${authorization}` };
    const credentials = { ...more, [field]: secretFile };
    const tls = { ca: authority.file, serverName: 'loki.example' };
    const flow = await Flow.start(name, name === 'basic' ? '00000000000000b1' : '00000000000000b2', {
      url: proxy.address,
      tls,
      credentials,
    });
    await flow.stands('the wrong secret holds it back', /^(?!.*hush)loki: paused, LOKI_DENIED: .*401/);
    writeFileSync(secretFile, 'hush-1\n');
    await flow.flows('it goes on with the right one');
    wanted = 'hush-2';
    await flow.stands('what was taken back holds it back', /LOKI_DENIED/);
    writeFileSync(secretFile, 'hush-2\n');
    await flow.flows('it goes on with the next one');
    await flow.expectAllOnce();
  },
);
