// Namespaces of the soak, as Pods of one node: each with an eth0 on a bridge that lives in a namespace of its own.
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

// Addresses for tests of network devices (RFC 2544).
const network = '198.18.77';
const most = 250;

function ip(...args) {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Namespaces by name; all of them, and what runs in them, are gone after `remove`. */
export class SoakPods {
  #prefix;
  #last = 0;
  #names = new Set();
  #children = new Set();

  /** @param prefix every namespace's name begins so */
  constructor(prefix) {
    this.#prefix = prefix;
    this.node = `${prefix}node`;
    process.once('exit', () => this.remove());
    this.#add(this.node);
    ip('-n', this.node, 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', this.node, 'address', 'add', `${network}.254/24`, 'dev', 'br0');
    ip('-n', this.node, 'link', 'set', 'br0', 'up');
  }

  #add(name) {
    this.#names.add(name);
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }

  /** A namespace with an address of its own: { name, address, port }. */
  add(role) {
    const number = ++this.#last;
    const name = `${this.#prefix}${role}-${number}`;
    const address = `${network}.${1 + ((number - 1) % most)}`;
    const port = `p${number}`;
    this.#add(name);
    ip('link', 'add', 'eth0', 'netns', name, 'type', 'veth', 'peer', 'name', port, 'netns', this.node);
    ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
    ip('-n', this.node, 'link', 'set', port, 'master', 'br0', 'up');
    return { name, address };
  }

  /** Starts a script in a namespace. `line()` resolves with the next line it says, parsed. */
  start({ name }, script, ...args) {
    const child = spawn('nsenter', [`--net=/run/netns/${name}`, process.execPath, script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.add(child);
    const ended = new Promise((resolve) => child.once('exit', resolve)).then(() => this.#children.delete(child));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stdin.on('error', () => undefined);
    return { child, ended, line: async () => JSON.parse((await lines.next()).value ?? '{}') };
  }

  /** Takes a namespace away, as a Pod goes. */
  end(name) {
    if (this.#names.delete(name)) ip('netns', 'delete', name);
  }

  remove() {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of [...this.#names]) {
      try {
        this.end(name);
      } catch {
        // It is gone already.
      }
    }
  }
}
