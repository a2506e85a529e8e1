import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createLog } from './log.ts';
import { certificateExpiries, TlsFiles, tlsSchema } from './tls.ts';

const log = createLog('silent');
const dir = mkdtempSync(join(tmpdir(), 'jitterscope-tls-'));
const at = (name: string): string => join(dir, name);

/** A certificate that signs itself, and its key. */
function certificate(name: string, days = 30): void {
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  const key = ['-days', String(days), '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...key, '-keyout', at(`${name}.key`), '-out', at(`${name}.pem`), ...subject], { stdio: 'pipe' });
}

beforeAll(() => {
  for (const name of ['server', 'client', 'other']) certificate(name);
  const [server, other] = ['server', 'other'].map((name) => readFileSync(at(`${name}.pem`), 'utf8'));
  writeFileSync(at('server.der'), new X509Certificate(server).raw);
  const damaged = other.split('\n').with(2, '????').join('\n');
  writeFileSync(at('damaged.pem'), server + damaged + other);
  writeFileSync(at('cut.pem'), server + other.slice(0, other.length / 2));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a connection is made with authorities, client certificate and server name of the section', async () => {
  const [cert, key] = ['server.pem', 'server.key'].map((name) => readFileSync(at(name)));
  const server = createServer({ cert, key, ca: readFileSync(at('client.pem')), requestCert: true, rejectUnauthorized: true });
  const subjects: string[] = [];
  server.on('secureConnection', (socket: TLSSocket) => {
    subjects.push(socket.getPeerCertificate().subject.CN as string);
    socket.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const attempt = (section: object): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, ...new TlsFiles(tlsSchema.parse(section), log, 'tls').current() });
      socket.on('secureConnect', () => undefined);
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on('end', () => resolve('served'));
      socket.resume();
    });
  try {
    const ours = { ca: at('server.pem'), cert: at('client.pem'), key: at('client.key'), serverName: 'server' };
    expect(await attempt(ours)).toBe('served');
    expect(subjects).toEqual(['client']);
    expect(await attempt({ ...ours, ca: at('other.pem') })).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
    expect(await attempt({ ...ours, serverName: 'other' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await attempt({ ...ours, cert: undefined, key: undefined })).toMatch(/ALERT|ECONNRESET|CERTIFICATE_REQUIRED/i);
    expect(subjects).toEqual(['client']);
  } finally {
    server.close();
  }
});

test.each([
  ['a file that is not there', { ca: 'missing.pem' }, 'FILE_UNREADABLE', /tls\.ca .*missing\.pem: ENOENT/],
  ['a folder', { ca: '.' }, 'FILE_UNREADABLE', /not a file/],
  ['a file without a certificate', { ca: 'server.key' }, 'TLS_FILE_INVALID', /tls\.ca .*expected certificates in PEM/],
  ['a certificate in DER', { ca: 'server.der' }, 'TLS_FILE_INVALID', /tls\.ca .*server\.der: no certificate, expected certificates in PEM/],
  ['a bundle with a damaged entry', { ca: 'damaged.pem' }, 'TLS_FILE_INVALID', /tls\.ca .*in certificate 2 of 3, expected certificates/],
  ['a bundle whose end is cut off', { ca: 'cut.pem' }, 'TLS_FILE_INVALID', /tls\.ca .*in certificate 2 of 2, expected certificates/],
  ['a certificate in place of the key', { cert: 'server.pem', key: 'client.pem' }, 'TLS_FILE_INVALID', /tls\.key .*expected a private key/],
  [
    'the key of another certificate',
    { cert: 'server.pem', key: 'client.key' },
    'TLS_KEY_OTHER',
    /client\.key is not that of .*server\.pem/,
  ],
])('%s is refused with file and remedy', (_, names, code, message) => {
  const section = Object.fromEntries(Object.entries(names).map(([name, path]) => [name, at(path)]));
  const files = new TlsFiles(tlsSchema.parse(section), log, 'tls');
  expect(() => files.current()).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
});

test('a certificate without its key is refused, and unknown keys are', () => {
  expect(tlsSchema.safeParse({ cert: 'a.pem' }).error?.issues[0]).toMatchObject({ path: ['key'] });
  expect(tlsSchema.safeParse({ key: 'a.key' }).error?.issues[0]).toMatchObject({ path: ['cert'] });
  expect(tlsSchema.safeParse({ insecureSkipVerify: true }).success).toBe(false);
});

test('renewed files are used for the next connection, half renewed ones are not', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  try {
    copyFileSync(at('client.pem'), at('live.pem'));
    copyFileSync(at('client.key'), at('live.key'));
    const files = new TlsFiles(tlsSchema.parse({ cert: at('live.pem'), key: at('live.key') }), log, 'tls');
    const first = files.current();
    expect(files.current()).toBe(first);

    writeFileSync(at('live.pem'), readFileSync(at('other.pem')));
    nowMs += 10_000;
    expect(files.current()).toBe(first);

    writeFileSync(at('live.key'), readFileSync(at('other.key')));
    nowMs += 10_000;
    expect(files.current().cert?.equals(readFileSync(at('other.pem')))).toBe(true);

    rmSync(at('live.key'));
    nowMs += 10_000;
    expect(files.current().key?.equals(readFileSync(at('other.key')))).toBe(true);
  } finally {
    vi.restoreAllMocks();
  }
});

test('until when certificates are valid is told: of several in a file the first that ends, of files as they are now', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  try {
    const validTo = (name: string): number => Date.parse(new X509Certificate(readFileSync(at(name))).validTo);
    certificate('short', 2);
    writeFileSync(at('both.pem'), Buffer.concat(['other.pem', 'short.pem'].map((name) => readFileSync(at(name)))));
    copyFileSync(at('client.pem'), at('renewed.pem'));
    copyFileSync(at('client.key'), at('renewed.key'));
    const files = new TlsFiles(
      tlsSchema.parse({ ca: at('both.pem'), cert: at('renewed.pem'), key: at('renewed.key') }),
      log,
      'gateway.tls',
    );
    const told = () => certificateExpiries().filter(({ use }) => use === 'gateway.tls');
    files.current();
    expect(told()).toEqual([
      { use: 'gateway.tls', file: 'ca', notAfterMs: validTo('short.pem') },
      { use: 'gateway.tls', file: 'cert', notAfterMs: validTo('client.pem') },
    ]);
    copyFileSync(at('short.pem'), at('renewed.pem'));
    copyFileSync(at('short.key'), at('renewed.key'));
    nowMs += 10_000;
    expect(told()[1].notAfterMs).toBe(validTo('short.pem'));
    // Of authorities those that ended are passed over, unless all did; a chain with an expired one is told.
    vi.spyOn(Date, 'now').mockReturnValue(validTo('short.pem') + 1);
    expect(told().map(({ notAfterMs }) => notAfterMs)).toEqual([validTo('other.pem'), validTo('short.pem')]);
    vi.spyOn(Date, 'now').mockReturnValue(validTo('other.pem') + 1);
    expect(told()[0].notAfterMs).toBe(validTo('other.pem'));
    // The label of old tools.
    writeFileSync(at('both.pem'), readFileSync(at('other.pem'), 'utf8').replaceAll(' CERTIFICATE', ' X509 CERTIFICATE'));
    nowMs += 10_000;
    expect(told()[0].notAfterMs).toBe(validTo('other.pem'));
  } finally {
    vi.restoreAllMocks();
  }
});
