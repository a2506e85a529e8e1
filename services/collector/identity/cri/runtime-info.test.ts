import { expect, test } from 'vitest';
import { parseRuntimeInfo } from './runtime-info.ts';

const nothing = { pid: 0, netnsPath: undefined, cgroupsPath: undefined };

test('process, namespace and cgroup come from what the runtime says beyond the interface', () => {
  const info = {
    pid: 4711,
    image: 'test.local/pause:1',
    runtimeSpec: {
      linux: {
        cgroupsPath: '/kubepods/burstable/podx/abc',
        namespaces: [{ type: 'pid' }, { type: 'network', path: '/run/netns/cni-1' }],
      },
    },
  };
  expect(parseRuntimeInfo({ info: JSON.stringify(info) })).toEqual({
    pid: 4711,
    netnsPath: '/run/netns/cni-1',
    cgroupsPath: '/kubepods/burstable/podx/abc',
  });
});

test.each([
  ['nothing', {}],
  ['no JSON', { info: '{' }],
  ['another type', { info: '[]' }],
  ['null', { info: 'null' }],
  ['fields of other types', { info: '{"pid":"1","runtimeSpec":{"linux":{"namespaces":{},"cgroupsPath":5}}}' }],
  ['a namespace without a path', { info: '{"pid":-1,"runtimeSpec":{"linux":{"namespaces":[null,{"type":"network"}]}}}' }],
  ['a path that is none', { info: JSON.stringify({ runtimeSpec: { linux: { cgroupsPath: 'x'.repeat(5000) } } }) }],
  ['more than is read', { info: JSON.stringify({ pid: 1, more: 'x'.repeat(1024 * 1024) }) }],
])('%s says nothing', (_, info) => {
  expect(parseRuntimeInfo(info as Record<string, string>)).toEqual(nothing);
});
