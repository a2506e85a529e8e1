/**
 * The contract of the C addon (native/*.c). No object is made per record: records, counters and netlink answers
 * are bytes. Every failure is thrown as a NativeFailure.
 */
export interface NativeFailure extends Error {
  /** NATIVE_OPEN, NATIVE_LOAD, NATIVE_ATTACH, NATIVE_RUN, NATIVE_MAP, NATIVE_READER, NATIVE_NETNS, NATIVE_LOCK, NATIVE_ARGUMENT, NATIVE_REPLAY */
  code: string;
  /** errno of the call that failed, 0 if none. */
  errno: number;
  /** Name of errno: EPERM. */
  errnoName: string;
  /** Last lines of libbpf's and the verifier's log, at most 8 KiB. */
  log: string;
  /** What to do about it. */
  hint: string;
}

/** One program of an opened object. */
export interface ProgramInfo {
  readonly name: string;
  /** ELF section: tp_btf/tcp_send_reset. */
  readonly section: string;
}

/** An opened BPF object: open → select → load → attach. Not to be used after close. */
export interface BpfObject {
  programs(): ProgramInfo[];
  /** Before load: whether the program is loaded at all. All are by default. */
  setAutoload(program: string, on: boolean): void;
  /** Names of its maps, those of global data left out. */
  maps(): string[];
  /**
   * Before load: this object's map is that of the same name in a loaded object, which must have its type and sizes.
   * The map lives until both are closed.
   */
  shareMap(map: string, from: BpfObject): void;
  /** Before load: whether a map is made at all. All are by default; programs must not get to where they use one that is not. */
  setAutocreate(map: string, on: boolean): void;
  /** Before load: bytes of a read-only section of global data (.rodata.transport), which the verifier takes for constants. */
  setRodata(section: string, offset: number, bytes: Uint8Array): void;
  /** Before load: size of a map. */
  setMapEntries(map: string, entries: number): void;
  /** Verifies and loads the selected programs and creates the maps. */
  load(): void;
  /** Attaches one loaded program; again after detach, any number of times. */
  attach(program: string): void;
  detach(program: string): void;
  attached(program: string): boolean;
  /** Runs an iter/ program to its end and returns what it wrote. */
  iterate(program: string): Buffer;
  /**
   * Runs a syscall or raw_tp program once in the kernel with ctx as its context (tests); returns its return value.
   * What a syscall program writes into its context is in ctx afterwards.
   */
  testRun(program: string, ctx: Uint8Array): number;
  /** Bytes of a global data section's map (.data.settings), effective at once. */
  readData(section: string): Buffer;
  writeData(section: string, offset: number, bytes: Uint8Array): void;
  mapUpdate(map: string, key: Uint8Array, value: Uint8Array): void;
  /** False when there was no such key. */
  mapDelete(map: string, key: Uint8Array): boolean;
  /** Undefined when there is no such key. */
  mapLookup(map: string, key: Uint8Array): Buffer | undefined;
  /** All entries of a hash map, key then value, end to end. For per-CPU maps of u64 the sum over the CPUs. */
  readMap(map: string): Buffer;
  /** Starts the reader thread on a ring buffer map. */
  startReader(ring: string, options: ReaderOptions, onChunk: (chunk: Buffer) => void): Reader;
  /**
   * Starts the reader thread on an array of perf events: a buffer for each CPU that is online, the same chunks. Records
   * of one CPU come in their order; those of several do not.
   */
  startPerfReader(array: string, options: PerfReaderOptions, onChunk: (chunk: Buffer) => void): Reader;
  /** Detaches everything and asks the readers to stop; they still deliver what the ring holds. Again: nothing. */
  close(): void;
}

export interface ReaderOptions {
  /** Period of the drain timer, 1 to 60000 ms; four times that after 16 drains in a row that found nothing. */
  readonly drainMs: number;
  /** Size of one chunk, 256 bytes to 64 MiB. A chunk holds whole records. */
  readonly chunkBytes: number;
  /** Chunks that may wait for JavaScript, 1 to 4096. When all wait, the ring is left as it is: the kernel counts what no longer fits. */
  readonly maxChunks: number;
}

export interface PerfReaderOptions extends ReaderOptions {
  /** Size of each CPU's buffer, a power of two of at least a page. It is locked memory. */
  readonly cpuBytes: number;
}

/** A running reader thread, of a ring, of perf buffers or of a file. It keeps the process alive until it has ended. */
export interface Reader {
  stats(): ReaderStats;
  /** Drains what is in the ring (a file is not read further), delivers it, ends the thread. Resolves after the last chunk was delivered. */
  stop(): Promise<void>;
  /**
   * Resolves when a file is read to its end and delivered, rejects with NATIVE_REPLAY when reading fails on the way;
   * a ring's reader resolves at stop.
   */
  readonly ended: Promise<void>;
}

export interface ReaderStats {
  readonly records: number;
  readonly bytes: number;
  readonly chunks: number;
  /** Drains that found no free chunk. */
  readonly stalls: number;
  /**
   * Records that were not 128, 192 or 256 bytes long, or whose len field says otherwise: dropped and counted.
   * Of a file: each step of 64 bytes where no record can begin, and a truncated end.
   */
  readonly malformed: number;
  /**
   * Records that the kernel says it had no room for in the perf buffers; exact since 6.0, before only once there was room
   * again. 0 for rings and files: there, and for what a CPU without a buffer lost, the program's own count is what holds.
   */
  readonly lost: number;
  /** Bytes in the ring or the perf buffers now (0 for files). */
  readonly ringBytes: number;
}

/**
 * A network namespace held open. Its methods enter it on the addon's thread for that and come back (CAP_SYS_ADMIN);
 * this process's own threads stay where they are. Failures are NATIVE_NETNS; after close NATIVE_ARGUMENT.
 */
export interface NetnsHandle {
  /** Inode of its nsfs file: that of /proc/<pid>/ns/net. */
  readonly inode: number;
  /** SO_NETNS_COOKIE; the inode before 5.14. */
  readonly cookie: number;
  /**
   * Files below /proc/net of the namespace, in the order of the names (snmp, stat/nf_conntrack), at most 64;
   * undefined for one that is not there. One of more than 4 MiB is an error (EFBIG).
   * @param keepOpen true: the files stay open until close, as far as the process has room for descriptors (4,096, or a
   * quarter of RLIMIT_NOFILE). Reading them again costs about half.
   */
  readProcNet(names: readonly string[], keepOpen?: boolean): (Buffer | undefined)[];
  /** As netlinkDump. */
  dump(protocol: number, request: Uint8Array): Buffer;
  /** Lets the namespace go. Again: nothing. */
  close(): void;
}

/** Process-wide functions of the addon. */
export interface Native {
  /** Version of the linked libbpf: 1.1. */
  libbpfVersion(): string;
  /** @param owner file name, for messages */
  openObject(owner: string, bytes: Uint8Array): BpfObject;
  /** Number of arguments of a raw tracepoint (typedef btf_trace_<name>, without the leading context), undefined if absent. */
  tracepointArgs(name: string): number | undefined;
  /** Members of a kernel enum as [value, name], undefined if absent. */
  enumValues(name: string): [number, string][] | undefined;
  /** Whether a kernel struct has a member (struct net, net_cookie). */
  hasMember(struct: string, member: string): boolean;
  /** Feeds a file of records (end to end, no framing) through the same thread, chunks and back-pressure as a ring. */
  startReplay(path: string, options: ReaderOptions, onChunk: (chunk: Buffer) => void): Reader;
  /** Boot time and wall time read together, ns. */
  clocks(): { bootNs: bigint; wallNs: bigint };
  /** Gives pages of freed memory back to the kernel (malloc_trim(3)): milliseconds where much was freed. Nothing without glibc. */
  trimMemory(): void;
  /**
   * Enters a namespace on the addon's thread for that, sends one netlink request and returns the answers end to end.
   * @param netnsPath /run/netns/web or /proc/123/ns/net
   * The answer is at most 16 MiB and has no NLMSG_DONE or acknowledgement; the kernel's error is the errno of NATIVE_NETNS.
   * @param protocol NETLINK_ROUTE 0, NETLINK_SOCK_DIAG 4, ...
   */
  netlinkDump(netnsPath: string, protocol: number, request: Uint8Array): Buffer;
  /** SO_NETNS_COOKIE of a namespace (kernel 5.14+; by entering it). */
  netnsCookie(netnsPath: string): bigint;
  /**
   * Opens a network namespace and keeps it: it lives until close, also when its name and its last process are gone.
   * @param path /run/netns/web or /proc/123/ns/net
   */
  openNetns(path: string): NetnsHandle;
  /** CRC-32C (Castagnoli) of bytes, continued from seed. */
  crc32c(bytes: Uint8Array, seed?: number): number;
  /** Takes an exclusive flock on a file, creating it; undefined when somebody else holds it. Held until close or process end. */
  lockFile(path: string): { close(): void } | undefined;
}
