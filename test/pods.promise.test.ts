import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect } from 'vitest';
import { ContainerdLab, type LabPod } from './lab/containerd-lab.ts';
import { eventually } from './lab/eventually.ts';
import { kernelTest } from './lab/kernel-tier.ts';
import { type TemporaryFolder, temporaryFolder } from './support/data-folder.ts';
import { eventLines } from './support/event-files.ts';
import { LiveRun } from './support/live-run.ts';

const rounds = Number(process.env.JITTERSCOPE_POD_ROUNDS ?? 100);
const subnet = '10.244.1.';
const nodeIp = `${subnet}1`;
const serviceIp = '10.96.0.10';
/** Nobody listens here: each connection has a port of its own, by which its events are told from all others. */
const firstPort = 31_000;
const resettingPort = 8080;
/** Namespaces and addresses are looked at each second. */
const settledMs = 4_000;

interface End {
  readonly ip: string;
  readonly port: number;
  readonly kubernetes?: { readonly namespace?: string; readonly pod?: { readonly name: string; readonly uid: string } };
  readonly nat?: { readonly ip: string; readonly port: number };
}

interface ResetEvent {
  readonly event: { readonly action: string };
  readonly source: End;
  readonly destination: End;
  readonly jitterscope: {
    readonly type: string;
    readonly identity: { readonly source: string; readonly destination: string };
    readonly netns?: { readonly inode: number };
  };
}

/** What the test knows of a connection by its server's port. */
interface Truth {
  readonly kind: string;
  readonly client: LabPod;
  readonly server: LabPod;
}

let folder: TemporaryFolder;
let lab: ContainerdLab | undefined;
let run: LiveRun | undefined;

// A second try must find neither the Pods nor the events of the first one.
beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await run?.process.killHard();
  await lab?.remove();
  folder.remove();
});

/** Resets of the lab's Pods: whatever else happens on this machine has other addresses, or another loopback. */
function resets(dataDir: string, loopbackInode: number): ResetEvent[] {
  const dir = join(dataDir, 'events');
  if (!existsSync(dir) || readdirSync(dir).every((name) => !name.startsWith('0-'))) return [];
  return [...eventLines(dir)]
    .map((line) => JSON.parse(line.toString()) as ResetEvent)
    .filter(({ jitterscope }) => jitterscope.type === 'tcpreset')
    .filter(({ source, jitterscope }) => source.ip.startsWith(subnet) || jitterscope.netns?.inode === loopbackInode);
}

function podOf({ kubernetes }: End): string {
  const pod = kubernetes?.pod;
  return pod === undefined ? '' : `${kubernetes?.namespace}/${pod.name} ${pod.uid}`;
}

const fullName = ({ namespace, name, uid }: LabPod): string => `${namespace}/${name} ${uid}`;

/** What is wrong with an event; undefined: nothing. */
function judge({ source, destination, jitterscope }: ResetEvent, truths: ReadonlyMap<number, Truth>, service: Truth): string | undefined {
  const isServer = truths.has(source.port) || source.port === resettingPort;
  const truth = truths.get(isServer ? source.port : destination.port) ?? service;
  const [local, far] = isServer ? [truth.server, truth.client] : [truth.client, truth.server];
  if (podOf(source) !== fullName(local)) return `${truth.kind}: ${podOf(source) || 'nobody'} where ${fullName(local)} is local`;
  // The node's address is the node's: which of its Pods is behind it nobody can tell from outside.
  const farName = truth.kind === 'hostNetwork' && destination.ip === nodeIp ? '' : fullName(far);
  if (podOf(destination) === farName) return undefined;
  // An address that changed hands between two looks is in doubt, and one that no look has found yet is nobody's.
  const doubt = truth.kind.endsWith('new') && podOf(destination) === '' && /^(ambiguous|external)$/.test(jitterscope.identity.destination);
  return doubt ? 'in doubt' : `${truth.kind}: ${podOf(destination) || 'nobody'} where ${fullName(far)} is far`;
}

kernelTest(
  `events name the Pods at both ends, by namespace, name and uid, and in ${rounds} rounds of Pods that inherit address and inode never a wrong one`,
  { timeout: 900_000 },
  async () => {
    const dataDir = join(folder.path, 'data');
    // The last address is for the Pod that comes and goes: the next one takes it over at once.
    const pods = await ContainerdLab.start('pods', { addresses: 4 });
    lab = pods;
    const settings = [`collector.cri.socket=${pods.socket}`, `collector.hostNetns=${pods.netns}`, 'collector.conntrack.rate=5000'];
    run = await LiveRun.start(dataDir, settings);
    // It ends without having read what was sent to it: the kernel answers with a reset.
    const resetting = ['/bin/nc', '-ll', '-p', String(resettingPort), '-e', '/bin/sleep', '0.1'];
    const web = await pods.addPod({ name: 'web-0', namespace: 'shop', labels: { app: 'web' }, command: resetting });
    const client = await pods.addPod({ name: 'client-0', namespace: 'shop' });
    const db = await pods.addPod({ name: 'db-0', namespace: 'data' });
    await pods.addContainer(db, 'side');
    const agent = await pods.addPod({ name: 'agent-0', namespace: 'kube-system', hostNetwork: true });
    translate(pods, web);

    const truths = new Map<number, Truth>();
    const refuse = async (kind: string, from: LabPod, to: LabPod, ip: string, container = 'main'): Promise<void> => {
      const port = firstPort + truths.size;
      truths.set(port, { kind, client: from, server: to });
      await pods.exec(from, ['/bin/nc', '-w', '1', ip, String(port)], container);
    };
    const inodes = new Set<number>();
    const addresses = new Set<string>();
    for (let round = 0; round < rounds; round++) {
      const churn = await pods.addPod({ name: `churn-${round}`, namespace: 'batch' });
      inodes.add(churn.netnsInode);
      addresses.add(churn.ip);
      // The address was another interface's a moment ago.
      execFileSync('nsenter', [`--net=/proc/${client.pid}/ns/net`, 'ip', 'neigh', 'flush', 'all']);
      await Promise.all([
        refuse('pod to pod', client, web, web.ip),
        refuse('hostNetwork', agent, web, web.ip),
        refuse('loopback', db, db, '127.0.0.1', round % 2 === 0 ? 'side' : 'main'),
        refuse('from new', churn, web, web.ip),
        refuse('to new', client, churn, churn.ip),
        pods.exec(client, ['/bin/sh', '-c', `echo data | nc -w 1 ${serviceIp} 80`]),
      ]);
      await pods.removePod(churn);
    }
    // Once looks have seen the address change hands, it is nobody else's.
    const last = await pods.addPod({ name: 'last-0', namespace: 'batch' });
    execFileSync('nsenter', [`--net=/proc/${client.pid}/ns/net`, 'ip', 'neigh', 'flush', 'all']);
    await sleep(settledMs);
    await refuse('settled', client, last, last.ip);
    await refuse('settled', last, web, web.ip);
    const expected = truths.size * 2 + rounds * 2;
    await eventually('both ends of each connection have said so', () => resets(dataDir, db.netnsInode).length >= expected);
    const { lookups, lookupsSkipped } = (await run.dispositions()).collector;
    expect((await run.process.stop()).code).toBe(143);

    const events = resets(dataDir, db.netnsInode);
    const service = { kind: 'translated', client, server: web };
    const verdicts = events.map((event) => judge(event, truths, service));
    const inDoubt = verdicts.filter((verdict) => verdict === 'in doubt').length;
    const inherited = `${rounds - inodes.size} inodes and ${rounds - addresses.size} addresses inherited`;
    process.stdout.write(
      `pods: ${rounds} rounds, ${inherited}, ${events.length} events, the far end of ${inDoubt} in doubt, ${lookups} look-ups, ${lookupsSkipped} skipped\n`,
    );
    expect(verdicts.filter((verdict) => verdict !== undefined && verdict !== 'in doubt')).toEqual([]);
    expect(addresses.size, 'the next Pod takes over the address').toBe(1);

    const behindService = events.filter(({ destination }) => destination.ip === serviceIp);
    expect(behindService.map(({ destination }) => destination.nat)).toEqual(behindService.map(() => ({ ip: web.ip, port: resettingPort })));
    const behindNode = events.filter(({ source }) => source.port === resettingPort);
    expect(behindNode.map(({ destination }) => destination.nat?.ip)).toEqual(behindNode.map(() => client.ip));
    expect([behindService.length, behindNode.length]).toEqual([rounds, rounds]);
  },
);

/** A service's address in the node: what is sent to it goes to the Pod, and comes back by the node. */
function translate({ netns }: ContainerdLab, web: LabPod): void {
  const rules = `table ip t {
  chain pre { type nat hook prerouting priority -100; ip daddr ${serviceIp} tcp dport 80 dnat to ${web.ip}:${resettingPort}; }
  chain post { type nat hook postrouting priority 100; ct status dnat masquerade; }
}
`;
  execFileSync('nsenter', [`--net=${netns}`, 'nft', '-f', '-'], { input: rules });
}
