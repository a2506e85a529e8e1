import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import { Client, type ClientDuplexStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { openEmbeddedLog } from '../../core/bus/embedded-log.ts';
import { checkConfig } from '../../core/config/load.ts';
import { createLog } from '../../core/log.ts';
import { topics } from '../../proto/bus.ts';
import { CollectorMessage, type GatewayBody, GatewayMessage } from '../../proto/collect.ts';
import { eventually } from '../../test/lab/eventually.ts';
import { CertificateAuthority, type CertificateFiles, replaceFile } from '../../test/support/certificate-authority.ts';
import { gatewayConfig } from './config.ts';
import { type Gateway, startGateway } from './main.ts';

const root = mkdtempSync(join(tmpdir(), 'jitterscope-listener-'));
let dir: string;
let authority: CertificateAuthority;
/** The files that the gateway follows. */
let own: CertificateFiles & { readonly ca: string };

beforeEach(() => {
  dir = mkdtempSync(join(root, 'gateway-'));
  authority = new CertificateAuthority(dir);
  own = { ca: join(dir, 'ca.pem'), cert: join(dir, 'gateway.pem'), key: join(dir, 'gateway.key') };
  const issued = authority.issue('DNS:gateway');
  replaceFile(authority.file, own.ca);
  replaceFile(issued.cert, own.cert);
  replaceFile(issued.key, own.key);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function gatewayOn(options: { tls?: typeof own; ticks?: boolean } = {}): Promise<Gateway> {
  const spec = { name: topics.raw, partitions: 1, maxBytes: 2 ** 24, retain: 'oldest' as const };
  const bus = await openEmbeddedLog({ dir: join(dir, 'bus'), commitMs: 1, topics: [spec] });
  const gateway = await startGateway({
    bus,
    tcp: { host: '127.0.0.1', port: 0, tls: options.tls },
    ticks: options.ticks ?? true,
    maxInFlightBytes: 2 ** 20,
    maxMemoryBytes: 2 ** 26,
    maxMessageBytes: 2 ** 21,
    log: createLog('silent'),
  });
  onTestFinished(async () => {
    await gateway.close(100);
    await bus.close();
  });
  return gateway;
}

/** A collector that checks whom it talks to. */
class TestCollector {
  acked = -1;
  error: ServiceError | undefined;
  readonly #call: ClientDuplexStream<Buffer, GatewayBody>;
  #seq = 0;

  constructor(address: string | undefined, files: CertificateFiles | undefined, ca = authority.file) {
    const pair = files === undefined ? {} : { cert: readFileSync(files.cert), key: readFileSync(files.key) };
    const secure = credentials.createFromSecureContext(createSecureContext({ ca: readFileSync(ca), ...pair }));
    const client = new Client(address ?? '', secure, { 'grpc.ssl_target_name_override': 'gateway' });
    this.#call = client.makeBidiStreamRequest<Buffer, GatewayBody>(
      '/jitterscope.collect.v1.Collect/Stream',
      (bytes) => bytes,
      (bytes) => GatewayMessage.decode(bytes),
    );
    this.#call.on('data', ({ ack, welcome }: GatewayBody) => (this.acked = Math.max(this.acked, ack?.seq ?? welcome?.ackedSeq ?? -1)));
    this.#call.on('error', (error: ServiceError) => (this.error = error));
    onTestFinished(() => {
      this.#call.cancel();
      client.close();
    });
  }

  /** What the gateway makes of a Hello: 'served', or status and text. */
  async hello(node: string, replay = false): Promise<string> {
    const hello = { node, session: Buffer.alloc(16, node.length), version: 't', schema: 1, replay };
    this.#call.write(Buffer.from(CollectorMessage.encode({ hello }).finish()));
    await eventually('an answer', () => this.acked >= 0 || this.error !== undefined);
    return this.error === undefined ? 'served' : `${status[this.error.code]} ${this.error.details}`;
  }

  /** Sends a heartbeat and waits for its ack. */
  async beat(): Promise<void> {
    const seq = ++this.#seq;
    this.#call.write(Buffer.from(CollectorMessage.encode({ seq, heartbeat: { bootNs: seq, nextItem: 0 } }).finish()));
    await eventually('an ack', () => this.acked >= seq);
  }
}

test('a collector with a certificate of its node is served, and writes as no other', async () => {
  const { tcpAddress, metrics } = await gatewayOn({ tls: own });
  const node1 = authority.issue('DNS:node1');
  const collector = new TestCollector(tcpAddress, node1);
  expect(await collector.hello('node1')).toBe('served');
  await collector.beat();
  const other = await new TestCollector(tcpAddress, node1).hello('node2');
  expect(other).toMatch(/^PERMISSION_DENIED this certificate may not write as node node2: .* DNS:node1$/);
  expect(await new TestCollector(tcpAddress, node1).hello('node1', true)).toMatch(/^PERMISSION_DENIED .*captures/);
  await collector.beat();
  expect(metrics.refused).toEqual({ node: 1, replay: 1 });
});

test.each([
  ['without a certificate', () => undefined],
  ['whose certificate has expired', () => authority.issue('DNS:node1', -1)],
  ['whose certificate is by another authority', () => new CertificateAuthority(dir, 'other').issue('DNS:node1')],
])('a collector %s is refused before it says anything, and counted', async (_, files) => {
  const { tcpAddress, metrics } = await gatewayOn({ tls: own });
  expect(await new TestCollector(tcpAddress, files()).hello('node1')).toMatch(/^UNAVAILABLE/);
  await eventually('it is counted', () => (metrics.refused.certificate ?? 0) >= 1);
  expect(metrics.messagesIn).toBe(0);
});

test('who speaks no TLS 1.3, resumes a session, or does not finish a handshake is not served', async () => {
  const gateway = await gatewayOn({ tls: own });
  const { metrics, tcpAddress = '' } = gateway;
  const port = Number(tcpAddress.split(':')[1]);
  const node1 = authority.issue('DNS:node1');
  const tls = { port, host: '127.0.0.1', ca: readFileSync(authority.file), servername: 'gateway', ALPNProtocols: ['h2'] };
  const files = { cert: readFileSync(node1.cert), key: readFileSync(node1.key) };
  const closed = (socket: Socket | TLSSocket): Promise<void> =>
    new Promise((resolve) => {
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
  await closed(connect({ ...tls, ...files, maxVersion: 'TLSv1.2' }));
  const plain = connectTcp(port, '127.0.0.1', () => plain.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
  await closed(plain);
  await eventually('both are counted', () => (metrics.refused.certificate ?? 0) === 2);

  const sessions: Buffer[] = [];
  const first = connect({ ...tls, ...files });
  first.on('session', (session) => sessions.push(session));
  await new Promise<void>((resolve) => first.once('data', () => resolve()));
  const again = connect({ ...tls, ...files, ...(sessions[0] === undefined ? {} : { session: sessions[0] }) });
  await new Promise<void>((resolve) => again.once('data', () => resolve()));
  expect(again.isSessionReused()).toBe(false);
  first.destroy();
  again.destroy();
  const idle = connectTcp(port, '127.0.0.1');
  await new Promise<void>((resolve) => idle.once('connect', () => resolve()));
  const cut = closed(idle);
  await gateway.close(100);
  await cut;
});

test('a renewed certificate and a renewed authority serve the next connection, and streams that are open go on', async () => {
  let nowMs = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => void vi.restoreAllMocks());
  const { tcpAddress } = await gatewayOn({ tls: own });
  const node1 = authority.issue('DNS:node1');
  const before = new TestCollector(tcpAddress, node1);
  expect(await before.hello('node1')).toBe('served');

  const next = new CertificateAuthority(dir, 'next');
  const [issued, node2] = [next.issue('DNS:gateway'), next.issue('DNS:node2')];
  expect(await new TestCollector(tcpAddress, node2).hello('node2')).toMatch(/^UNAVAILABLE/);
  // Half of it: the key does not belong to the certificate. What was before stays.
  replaceFile(issued.cert, own.cert);
  nowMs += 10_000;
  expect(await new TestCollector(tcpAddress, node1).hello('node1')).toBe('served');

  replaceFile(issued.key, own.key);
  replaceFile(next.file, own.ca);
  nowMs += 10_000;
  expect(await new TestCollector(tcpAddress, node2, next.file).hello('node2')).toBe('served');
  expect(await new TestCollector(tcpAddress, node1, next.file).hello('node1')).toMatch(/^UNAVAILABLE/);
  expect(await new TestCollector(tcpAddress, node2, authority.file).hello('node2')).toMatch(/^UNAVAILABLE/);
  await before.beat();
});

test('a stream ends when the certificate that it began with expires', async () => {
  const { tcpAddress } = await gatewayOn({ tls: own });
  const collector = new TestCollector(tcpAddress, authority.issue('DNS:node1', 1));
  expect(await collector.hello('node1')).toBe('served');
  const now = Date.now();
  vi.spyOn(Date, 'now').mockImplementation(() => now + 25 * 3_600_000);
  onTestFinished(() => void vi.restoreAllMocks());
  await eventually('the stream ends', () => collector.error !== undefined);
  expect(collector.error).toMatchObject({ code: status.UNAUTHENTICATED, details: expect.stringContaining('expired') });
});

test('without TLS a stream is served on loopback, and a gateway for captures takes them', async () => {
  const { tcpAddress = '' } = await gatewayOn({ ticks: false });
  const client = new Client(tcpAddress, credentials.createInsecure());
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(
    '/jitterscope.collect.v1.Collect/Stream',
    (bytes) => bytes,
    (bytes) => bytes,
  );
  const answer = new Promise((resolve) => {
    call.on('data', () => resolve('served'));
    call.on('error', resolve);
  });
  const hello = { node: 'replay', session: Buffer.alloc(16), version: 't', schema: 1, replay: true };
  call.write(Buffer.from(CollectorMessage.encode({ hello }).finish()));
  expect(await answer).toBe('served');
  call.cancel();
  client.close();
});

const files = ['tls.ca=a', 'tls.cert=b', 'tls.key=c'];
test.each([
  [['listen=127.0.0.1:9463'], []],
  [['listen="[::1]:9463"'], []],
  [['listen=0.0.0.0:9463', 'allowPlaintext=true'], []],
  [['listen=0.0.0.0:9463', ...files], []],
  [['listen=0.0.0.0:9463'], ['tls']],
  [['listen=gateway.example.com:9463'], ['tls']],
  [['listen=9463'], ['listen']],
  [['listen=127.0.0.1:99999'], ['listen']],
  [
    ['listen=0.0.0.0:9463', 'tls.ca=a'],
    ['tls.cert', 'tls.key'],
  ],
])('%j has mistakes at %j', (sets, paths) => {
  const problems = checkConfig(gatewayConfig, { sets });
  expect(problems.map(({ path }) => path)).toEqual(paths);
});
