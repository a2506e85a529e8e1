import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CertificateAuthority } from '../../test/support/certificate-authority.ts';
import { peerOfCertificate, refusalOf } from './authorization.ts';

const dir = mkdtempSync(join(tmpdir(), 'jitterscope-authorization-'));
let authority: CertificateAuthority;
const peer = (names: string) => peerOfCertificate(new X509Certificate(readFileSync(authority.issue(names).cert)));

beforeAll(() => {
  authority = new CertificateAuthority(dir);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  ['DNS:node1', 'node1', true],
  ['DNS:a.example.com,DNS:node1', 'node1', true],
  ['DNS:node1.example.com', 'node1.example.com', true],
  ['IP:10.1.2.3', '10.1.2.3', true],
  ['DNS:node1', 'node2', false],
  ['DNS:node1', 'NODE1', false],
  ['DNS:node1', 'node1.', false],
  ['DNS:node1', '', false],
  ['DNS:node1.example.com', '.example.com', false],
  ['DNS:*.example.com', 'node1.example.com', false],
  ['DNS:*.example.com', '*.example.com', false],
  ['DNS:node1', 'node1\0.evil', false],
  ['DNS:node1', 'DNS:node1', false],
  ['URI:spiffe://cluster/node1', 'node1', false],
  ['email:node1@example.com', 'node1@example.com', false],
  ['IP:10.1.2.3', '10.1.2.4', false],
  ['DNS:node1', '1', false],
])('a certificate for %s is that of node %o: %s', (names, node, own) => {
  const peerOfNames = peer(names);
  expect(peerOfNames.isNode(node)).toBe(own);
  const refusal = refusalOf({ node, replay: false }, peerOfNames, { certified: true, replays: false });
  if (own) expect(refusal).toBeUndefined();
  else expect(refusal).toMatchObject({ status: status.PERMISSION_DENIED, reason: 'node' });
});

test('what is told of many names is bounded', () => {
  const names = Array.from({ length: 100 }, (_, i) => `DNS:a-long-name-of-a-node-${i}.example.com`).join(',');
  const refusal = refusalOf({ node: 'n', replay: false }, peer(names), { certified: true, replays: false });
  expect(refusal?.error.message.length).toBeLessThan(400);
});

test('where certificates are asked for, none writes nothing; a capture needs a gateway for captures, and its own name', () => {
  const live = { certified: true, replays: false };
  const replays = { certified: true, replays: true };
  const own = peer('DNS:replay');
  expect(refusalOf({ node: 'node1', replay: false }, undefined, live)).toMatchObject({ status: status.UNAUTHENTICATED });
  expect(refusalOf({ node: 'node1', replay: false }, undefined, { certified: false, replays: false })).toBeUndefined();
  expect(refusalOf({ node: 'replay', replay: true }, own, live)).toMatchObject({ reason: 'replay' });
  expect(refusalOf({ node: 'replay', replay: true }, own, replays)).toBeUndefined();
  expect(refusalOf({ node: 'replay', replay: true }, peer('DNS:node1'), replays)).toMatchObject({ reason: 'node' });
});
