/** What a runtime says about a sandbox or container beyond the interface: "info" of a verbose status. */
export interface RuntimeInfo {
  /** First process; 0: none, or not told. */
  readonly pid: number;
  /** File of the network namespace; undefined where it is the node's own, or not told. */
  readonly netnsPath: string | undefined;
  /** linux.cgroupsPath of the OCI runtime spec: a path, or slice:prefix:name with the systemd driver. */
  readonly cgroupsPath: string | undefined;
}

/** containerd repeats the whole OCI spec: some 10 KiB. */
const maxInfoLength = 1024 * 1024;
/** PATH_MAX */
const maxPathLength = 4096;

const nothing: RuntimeInfo = { pid: 0, netnsPath: undefined, cgroupsPath: undefined };

/** Reads the JSON under "info". What is missing, oversized or of another form is left out. */
export function parseRuntimeInfo(info: Readonly<Record<string, string>>): RuntimeInfo {
  const text = info.info;
  if (text === undefined || text.length > maxInfoLength) return nothing;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return nothing;
  }
  const pid = fieldOf(parsed, 'pid');
  const linux = fieldOf(fieldOf(parsed, 'runtimeSpec'), 'linux');
  const namespaces = fieldOf(linux, 'namespaces');
  const network = Array.isArray(namespaces) ? namespaces.find((one) => fieldOf(one, 'type') === 'network') : undefined;
  return {
    pid: typeof pid === 'number' && Number.isInteger(pid) && pid > 0 ? pid : 0,
    netnsPath: pathOf(fieldOf(network, 'path')),
    cgroupsPath: pathOf(fieldOf(linux, 'cgroupsPath')),
  };
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}

function pathOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= maxPathLength ? value : undefined;
}
