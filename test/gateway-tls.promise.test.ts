import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { AppError } from '../core/app-error.ts';
import { createLog } from '../core/log.ts';
import { topics } from '../proto/bus.ts';
import { CollectorMessage } from '../proto/collect.ts';
import { openGatewayCall, welcome } from '../services/collector/gateway-call.ts';
import { configuredTarget } from '../services/collector/gateway-target.ts';
import { eventually } from './lab/eventually.ts';
import { CertificateAuthority, type CertificateFiles, replaceFile } from './support/certificate-authority.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { ExpectedEvents } from './support/expected-events.ts';
import { FakeCollector } from './support/fake-collector.ts';
import { freePort } from './support/free-port.ts';
import { Hops } from './support/hops.ts';
import { JitterscopeProcess } from './support/jitterscope-process.ts';
import { expectAggregatorIdentity } from './support/loss-identity.ts';
import { writeStormCapture } from './support/reset-storm-capture.ts';

const log = createLog('silent');
const node = 'node1';

let folder: TemporaryFolder;
let hops: Hops;
let authority: CertificateAuthority;

beforeEach(async () => {
  folder = temporaryFolder();
  hops = await Hops.start(join(folder.path, 'data'));
  mkdirSync(join(folder.path, 'pki'));
  authority = new CertificateAuthority(join(folder.path, 'pki'));
});

afterEach(async () => {
  await hops.close();
  folder.remove();
});

async function gatewayUp(files: CertificateFiles | undefined, ca = authority.file): Promise<string> {
  const tls = files === undefined ? undefined : { ca, ...files };
  return (await hops.gatewayUp({ host: '127.0.0.1', port: 0, tls })).tcpAddress ?? '';
}

/** What a collector says of a stream that it opens as node1: 'served', or the code and the text of the error. */
async function attempt(address: string, tls: object | undefined, as = node): Promise<string> {
  const target = configuredTarget({ address, tls, allowPlaintext: false }, log);
  if (target === undefined) throw new Error('no target');
  const call = openGatewayCall(target);
  const hello = { node: as, session: Buffer.alloc(16, 1), version: 't', replay: false, schema: 1 };
  call.stream.write(Buffer.from(CollectorMessage.encode({ hello }).finish()));
  try {
    await welcome(call.stream, AbortSignal.any([call.broken, AbortSignal.timeout(20_000)]), () => undefined);
    return 'served';
  } catch (thrown) {
    const { code, message, remedy } = target.explain(thrown);
    expect(remedy.length).toBeGreaterThan(20);
    expect(`${message}${remedy}`.length).toBeLessThan(900);
    return `${code}: ${message}`;
  } finally {
    call.close();
  }
}

test('each mistake with certificates is told by its name, with what to do', async () => {
  const other = new CertificateAuthority(join(folder.path, 'pki'), 'other');
  const own = { ca: authority.file, ...authority.issue(`DNS:${node}`) };
  const gateway = authority.issue('DNS:gateway,IP:127.0.0.1');
  const address = await gatewayUp(gateway);
  expect(await attempt(address, own)).toBe('served');
  expect(await attempt(address, { ...own, serverName: 'gateway' })).toBe('served');

  const told: Record<string, string> = {
    'other node': await attempt(address, own, 'node2'),
    'wrong authority': await attempt(address, { ...own, ca: other.file }),
    'other server name': await attempt(address, { ...own, serverName: 'elsewhere' }),
    'expired certificate': await attempt(address, { ca: authority.file, ...authority.issue(`DNS:${node}`, -1) }),
    'certificate of another authority': await attempt(address, { ca: authority.file, ...other.issue(`DNS:${node}`) }),
    'no certificate': await attempt(address, { ca: authority.file }),
    'no TLS here': await attempt(address, undefined),
  };
  await hops.gatewayDown(0);
  told['nobody there'] = await attempt(address, own);
  const plain = await gatewayUp(undefined);
  told['no TLS there'] = await attempt(plain, own);
  await hops.gatewayDown(0);
  const expired = await gatewayUp(authority.issue('IP:127.0.0.1', -1));
  told['expired gateway'] = await attempt(expired, own);
  await hops.gatewayDown(0);
  told['no gateway'] = await attempt(await otherServer(), undefined);
  told['no such name'] = await attempt('gateway.invalid:9463', own);

  process.stdout.write(
    `${Object.entries(told)
      .map(([mistake, text]) => `${mistake} -> ${text}`)
      .join('\n')}\n`,
  );
  const expected: Record<string, RegExp> = {
    'other node': /^COLLECTOR_STREAM_REFUSED: .*may not write as node node2: .*DNS:node1/,
    'wrong authority': /^COLLECTOR_GATEWAY_UNTRUSTED: .*collector\.gateway\.tls\.ca/,
    'other server name': /^COLLECTOR_GATEWAY_OTHER_NAME: .*elsewhere/,
    'expired certificate': /^COLLECTOR_CERTIFICATE_EXPIRED: .*DNS:node1.*has expired: .*20\d\d/,
    'certificate of another authority': /^COLLECTOR_CERTIFICATE_REFUSED: .*DNS:node1, by CN=other/,
    'no certificate': /^COLLECTOR_CERTIFICATE_REFUSED: /,
    'no TLS here': /^COLLECTOR_GATEWAY_WITH_TLS: /,
    'nobody there': /^COLLECTOR_GATEWAY_UNREACHABLE: .*ECONNREFUSED/,
    'no TLS there': /^COLLECTOR_GATEWAY_WITHOUT_TLS: .*wrong version number/,
    'expired gateway': /^COLLECTOR_GATEWAY_EXPIRED: /,
    'no gateway': /^COLLECTOR_NOT_A_GATEWAY: /,
    'no such name': /^COLLECTOR_GATEWAY_UNREACHABLE: /,
  };
  expect(told).toEqual(Object.fromEntries(Object.entries(expected).map(([mistake, text]) => [mistake, expect.stringMatching(text)])));
});

/** A gRPC server that knows nothing of collectors. */
async function otherServer(): Promise<string> {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  onTestFinished(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

test('files that cannot be used are refused at the start, with the setting that names them', () => {
  const { cert, key } = authority.issue(`DNS:${node}`);
  const tls = { ca: join(folder.path, 'missing.pem'), cert, key };
  const target = (): unknown => configuredTarget({ address: '127.0.0.1:1', tls, allowPlaintext: false }, log);
  expect(target).toThrow(AppError);
  expect(target).toThrow(/collector\.gateway\.tls\.ca .*missing\.pem/);
});

test('replay --gateway sends a capture once, with a certificate for replays', async () => {
  const address = await gatewayUp(authority.issue('DNS:gateway'));
  const capture = await writeStormCapture(join(folder.path, 'capture.jscap'), 5, 100);
  const replayed = async (names: string): Promise<JitterscopeProcess> => {
    const { cert, key } = authority.issue(names);
    const tls = { ca: authority.file, cert, key, serverName: 'gateway' };
    const sets = Object.entries(tls).flatMap(([name, value]) => ['--set', `collector.gateway.tls.${name}=${value}`]);
    const process = new JitterscopeProcess(['replay', capture.file, '--gateway', address, ...sets]);
    await process.ended;
    return process;
  };
  const refused = await replayed(`DNS:${node}`);
  expect(await refused.ended).toMatchObject({ code: 75 });
  expect(refused.stderr).toMatch(/refuses the stream: this certificate may not write as node replay/);
  expect((await hops.bus.offsets(topics.raw, 0)).next).toBe(0);
  expect((await replayed('DNS:replay')).stdout).toBe(`${capture.messages} messages of ${capture.file}, durable at ${address}\n`);
  const { next } = await hops.bus.offsets(topics.raw, 0);
  expect(next).toBe(capture.messages);
  expect((await replayed('DNS:replay')).stdout).toContain(`${capture.messages} of them replayed before`);
  expect((await hops.bus.offsets(topics.raw, 0)).next).toBe(next);
});

test('certificates and authorities of both sides are renewed while records flow, and nothing is lost', async () => {
  const at = (name: string): string => join(folder.path, name);
  const sides = ['gateway', 'collector'].map((side) => ({ ca: at(`${side}-ca.pem`), cert: at(`${side}.pem`), key: at(`${side}.key`) }));
  const [gatewayFiles, collectorFiles] = sides;
  const renew = (by: CertificateAuthority): void => {
    for (const [i, names] of ['DNS:gateway', `DNS:synthetic-1,DNS:${node}`].entries()) {
      const issued = by.issue(names);
      replaceFile(by.file, sides[i].ca);
      replaceFile(issued.cert, sides[i].cert);
      replaceFile(issued.key, sides[i].key);
    }
  };
  renew(authority);
  const port = await freePort();
  const tcp = { host: '127.0.0.1', port, tls: gatewayFiles };
  let gateway = await hops.gatewayUp(tcp);
  const tls = { ...collectorFiles, serverName: 'gateway' };
  const target = configuredTarget({ address: `127.0.0.1:${port}`, tls, allowPlaintext: false }, log);
  const events = new ExpectedEvents();
  const collector = await FakeCollector.start({ spoolDir: at('spool'), ...(target && { gateway: target }), events });
  let flowing = true;
  const flow = (async () => {
    while (flowing) {
      collector.batch(50);
      await sleep(10);
    }
  })();
  const arrives = async (what: string): Promise<void> => {
    const { itemsIn } = gateway.metrics;
    await eventually(what, () => gateway.metrics.itemsIn > itemsIn + 500);
  };
  await arrives('records before');

  renew(new CertificateAuthority(join(folder.path, 'pki'), 'next'));
  // Followed files are looked at every 5 s; meanwhile the stream that is open goes on.
  await sleep(5_500);
  await arrives('records through the connection that was open');
  expect(gateway.metrics.refused).toEqual({});
  await hops.gatewayDown(0);
  gateway = await hops.gatewayUp(tcp);
  await arrives('records through a new connection, with what was renewed');

  // Only the collector's files are renewed first: refused and counted, until the gateway knows the authority, too.
  const last = new CertificateAuthority(join(folder.path, 'pki'), 'last');
  const [issued, server] = [last.issue(`DNS:synthetic-1,DNS:${node}`), last.issue('DNS:gateway')];
  replaceFile(issued.cert, collectorFiles.cert);
  replaceFile(issued.key, collectorFiles.key);
  await sleep(5_500);
  await hops.gatewayDown(0);
  gateway = await hops.gatewayUp(tcp);
  await eventually('the collector is refused', () => (gateway.metrics.refused.certificate ?? 0) > 0);
  for (const [from, to] of [
    [server.cert, gatewayFiles.cert],
    [server.key, gatewayFiles.key],
    [last.file, gatewayFiles.ca],
    [last.file, collectorFiles.ca],
  ])
    replaceFile(from, to);
  await arrives('records again, without a restart');

  flowing = false;
  await flow;
  expect(await collector.close(30_000)).toBe(0);
  const state = await hops.settled();
  expect(await hops.countEvents(events)).toBe(events.count);
  expect(events.verdict()).toEqual({ missing: 0, twice: 0, unexpected: 0, examples: [] });
  expect(state.expectedItems).toBe(collector.nextItem);
  expectAggregatorIdentity(state.dispositions, collector.nextItem);
  expect(state.dispositions).toMatchObject({ gaps: 0, skipped: {} });
});
