// A test process that makes labs, says what it made, and waits to be killed: lab-owner-main.js <netns|pods>
import { ContainerdLab } from '../lab/containerd-lab.ts';
import { NetnsLab } from '../lab/netns-lab.ts';

const lab = new NetnsLab('-orphan');
const server = lab.start(lab.b, 'abort-server.mjs', '::', '9000', 'linger');
await server.line();
const node = process.argv[2] === 'pods' ? await ContainerdLab.start('orphan', { addresses: 2 }) : undefined;
const pod = await node?.addPod({ name: 'orphan-0' });
const paths = [lab.a.path, lab.b.path, ...(node === undefined ? [] : [node.netns, node.folder])];
process.stdout.write(`${JSON.stringify({ paths, pids: [server.pid, ...(pod === undefined ? [] : [pod.pid])] })}\n`);
setInterval(() => undefined, 60_000);
