// A certificate authority with one server and one client, for servers that tests start.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const days = '2';
const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';

async function openssl(folder, ...args) {
  await promisify(execFile)('openssl', args, { cwd: folder });
}

function pathsOf(folder, who) {
  const file = (extension) => join(folder, `${who}.${extension}`);
  return { key: file('key'), cert: file('crt'), bundle: file('pem') };
}

async function issue(folder, who) {
  await openssl(folder, 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${who}`, '-keyout', `${who}.key`, '-out', `${who}.csr`);
  writeFileSync(join(folder, `${who}.ext`), `${names}\n`);
  const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', days, '-extfile', `${who}.ext`];
  await openssl(folder, 'x509', '-req', '-in', `${who}.csr`, ...signing, '-out', `${who}.crt`);
  const { key, cert, bundle } = pathsOf(folder, who);
  writeFileSync(bundle, [key, cert, join(folder, 'ca.crt')].map((path) => readFileSync(path, 'utf8')).join(''), { mode: 0o600 });
}

/**
 * Makes certificates in a folder, or takes those that are there: paths `{ ca, server, client }`, the last two with `key`,
 * `cert` and `bundle` (all in one). The server's is for localhost and 127.0.0.1.
 */
export async function writeCertificates(folder) {
  const ca = join(folder, 'ca.crt');
  if (!existsSync(join(folder, 'client.pem'))) {
    mkdirSync(folder, { recursive: true });
    const subject = ['-subj', '/CN=jitterscope test authority'];
    await openssl(
      folder,
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      days,
      ...subject,
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
    );
    for (const who of ['server', 'client']) await issue(folder, who);
  }
  return { ca, server: pathsOf(folder, 'server'), client: pathsOf(folder, 'client') };
}
