import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressBytes, podNames, sandboxAddresses } from './pod-message.ts';

const sandbox = { id: 's', metadata: { name: 'web-0', namespace: 'shop', uid: 'u' } };

test('a sandbox with name, namespace and uid is a Pod; labels that repeat them are left out', () => {
  const labels = { app: 'web', 'io.kubernetes.pod.name': 'web-0', 'io.kubernetes.pod.uid': 'u' };
  expect(podNames({ ...sandbox, labels })).toEqual({
    sandboxId: 's',
    uid: 'u',
    namespace: 'shop',
    name: 'web-0',
    labels: { app: 'web' },
    annotations: {},
  });
});

test.each([
  ['no name', { ...sandbox.metadata, name: '' }],
  ['no namespace', { ...sandbox.metadata, namespace: '' }],
  ['no uid', { ...sandbox.metadata, uid: '' }],
  ['a name too long', { ...sandbox.metadata, name: 'x'.repeat(254) }],
  ['a namespace too long', { ...sandbox.metadata, namespace: 'x'.repeat(64) }],
  ['nothing', null],
])('one with %s is none', (_, metadata) => {
  expect(podNames({ id: 's', metadata })).toBeUndefined();
});

test('of many labels the first 32 by key are kept, whatever order they come in, and none that Kubernetes would not take', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ maxLength: 300 }), fc.string({ maxLength: 80 }), { maxKeys: 60 }), (labels) => {
      const kept = podNames({ ...sandbox, labels })?.labels ?? {};
      const reversed = Object.fromEntries(Object.entries(labels).reverse());
      expect(Object.keys(kept).length).toBeLessThanOrEqual(32);
      expect(Object.entries(kept).every(([key, value]) => key.length <= 253 && value.length <= 63 && labels[key] === value)).toBe(true);
      expect(podNames({ ...sandbox, labels: reversed })?.labels).toEqual(kept);
    }),
  );
});

test('of the annotations those under jitterscope.io/ are kept, without the prefix and bounded', () => {
  const annotations = {
    'jitterscope.io/accept-queue-saturation.fill': '0.8',
    'kubernetes.io/config.source': 'api',
    'jitterscope.io/': 'no name',
    'jitterscope.io/long': 'x'.repeat(65),
    [`jitterscope.io/${'k'.repeat(64)}`]: '1',
  };
  expect(podNames({ ...sandbox, annotations })?.annotations).toEqual({ 'accept-queue-saturation.fill': '0.8' });
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`jitterscope.io/rule.p${100 + n}`, '1']));
  const kept = Object.keys(podNames({ ...sandbox, annotations: many })?.annotations ?? {});
  expect([kept.length, kept[0], kept[63]]).toEqual([64, 'rule.p100', 'rule.p163']);
});

test.each([
  ['10.244.1.2', '00000000000000000000ffff0af40102'],
  ['2001:db8::1', '20010db8000000000000000000000001'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
  ['2001:db8::192.0.2.1', '20010db80000000000000000c0000201'],
])('%s is %s', (text, hex) => {
  expect(addressBytes(text)?.toString('hex')).toBe(hex);
});

test('what is no address is left out', () => {
  expect(addressBytes('10.0.0')).toBeUndefined();
  expect(addressBytes('')).toBeUndefined();
  const network = { ip: '10.0.0.1', additionalIps: [{ ip: '::1' }, { ip: 'x' }, {}] };
  expect(sandboxAddresses({ status: { network } })).toHaveLength(2);
  expect(sandboxAddresses({})).toEqual([]);
});
