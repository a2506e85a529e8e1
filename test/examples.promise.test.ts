import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import { kernelTest } from './lab/kernel-tier.ts';
import { CertificateAuthority } from './support/certificate-authority.ts';
import { temporaryFolder } from './support/data-folder.ts';
import { ExampleRun, expectSeen, filesHold } from './support/example-run.ts';
import { freePort } from './support/free-port.ts';

const folder = temporaryFolder();
const run = new ExampleRun(folder);
afterEach(() => run.stop());
afterAll(() => folder.remove());

kernelTest('the example files.yaml: an event of this kernel is in the files', async () => {
  const { all } = await run.start('files.yaml');
  await expectSeen('files', (port) => filesHold(all, port), run);
});

kernelTest('the example central-gateway: an event of a node comes over mutual TLS to the files of the central machine', async () => {
  const node = 'worker-7';
  const pki = join(folder.path, 'pki');
  mkdirSync(pki, { recursive: true });
  const authority = new CertificateAuthority(pki);
  const tls = (section: string, names: string): Record<string, string> => {
    const { cert, key } = authority.issue(names);
    return { [`${section}.tls.ca`]: authority.file, [`${section}.tls.cert`]: cert, [`${section}.tls.key`]: key };
  };
  const address = `127.0.0.1:${await freePort()}`;
  const { all } = await run.start('central-gateway/central.yaml', { 'gateway.listen': address, ...tls('gateway', 'IP:127.0.0.1') });
  await run.start(
    'central-gateway/node.yaml',
    { 'collector.gateway.address': address, ...tls('collector.gateway', `DNS:${node}`) },
    { NODE_NAME: node },
  );
  const both = (port: number) => filesHold(all, port, node) && filesHold(all, port, hostname());
  await expectSeen('the central machine', both, run);
});
