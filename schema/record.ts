import { recordOffsets as at, recordBytes, tailBytes } from './record.gen.ts';

const two32 = 0x1_0000_0000;
const minLength = recordBytes / tailBytes;
const maxLength = 4;
/** 2^32 ns are 4 s and this many ns, 2^48 ns are 281474 s and that many. */
const nanosOf32 = 294_967_296;
const nanosOf48 = 976_710_656;
const secondsOf48 = 281_474;
const text = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Reads records (bpf/include/record.h) that lie end to end, without an object per record: `reset`, then `next` until it
 * is false. Getters speak of the current record. 64-bit numbers are doubles: exact below 2^53, as cookies, inodes and
 * the nanoseconds of 104 days of uptime are; `netLo`/`netHi` and `tsSeconds`/`tsNanos` are always exact.
 * The getters read typed arrays over a copy, in the host's byte order: little-endian on all platforms that are built for.
 */
export class RecordReader {
  /** The records; only valid until the next reset. Offsets such as `saddrAt` point into it. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Byte offset of the current record in `bytes`. */
  at = 0;
  /** CLOCK_BOOTTIME, ns; exact for 104 days of uptime. */
  tsNs = 0;
  /** Another for each record that this reader came to: what was made of the current one may be kept by it. */
  serial = 0;
  #words = new Uint32Array(0);
  #halves = new Uint16Array(0);
  /** End of the records in `bytes`, which may be longer. */
  #end = 0;
  #next = 0;
  #malformed = false;

  /** Takes new records, at any alignment. They are copied. */
  reset(bytes: Uint8Array): void {
    if (bytes.length > this.bytes.length) this.#grow(bytes.length);
    this.bytes.set(bytes);
    this.#end = bytes.length;
    this.#next = 0;
    this.at = 0;
    this.#malformed = false;
  }

  #grow(length: number): void {
    const buffer = new ArrayBuffer(Math.max(recordBytes, Math.ceil(length / tailBytes) * tailBytes));
    this.bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#halves = new Uint16Array(buffer);
  }

  /** Goes to the next record. False at the end, and at a malformed record: the rest cannot be told apart then. */
  next(): boolean {
    const start = this.#next;
    if (start >= this.#end || this.#malformed) return false;
    const length = start + recordBytes > this.#end ? 0 : this.bytes[start + at.len];
    if (length < minLength || length > maxLength || start + length * tailBytes > this.#end) {
      this.#malformed = true;
      return false;
    }
    this.at = start;
    this.serial++;
    this.tsNs = this.#u64(at.ts);
    this.#next = start + length * tailBytes;
    return true;
  }

  /** Whether reading ended at bytes that are no record: a `len` that is not 2 to 4, or beyond the end. */
  get malformed(): boolean {
    return this.#malformed;
  }

  /** Length of the current record with its tails, bytes. */
  get length(): number {
    return this.#next - this.at;
  }

  /** Whole seconds of CLOCK_BOOTTIME, exact. */
  get tsSeconds(): number {
    const high = this.#u32(at.ts + 4);
    return (high >>> 16) * secondsOf48 + (high & 0xffff) * 4 + Math.floor(this.#nanos(high) / 1e9);
  }

  /** Nanoseconds within the second, exact. */
  get tsNanos(): number {
    return this.#nanos(this.#u32(at.ts + 4)) % 1e9;
  }

  /** What the words' nanoseconds add up to besides whole seconds: below 2^47. */
  #nanos(high: number): number {
    return (high >>> 16) * nanosOf48 + (high & 0xffff) * nanosOf32 + this.#u32(at.ts);
  }

  /** enum probe */
  get probe(): number {
    return this.#u16(at.probe);
  }

  /** Meaning: the probe's probe.ts. */
  get variant(): number {
    return this.bytes[this.at + at.variant];
  }

  /** enum record_flag */
  get flags(): number {
    return this.#u16(at.flags);
  }

  /** CPU that the event happened on. */
  get cpu(): number {
    return this.#u16(at.cpu);
  }

  /** With TASK the current process, with OWNER the socket's owner. */
  get tgid(): number {
    return this.#u32(at.tgid);
  }

  /** With TASK: the current thread. */
  get tid(): number {
    return this.#u32(at.tid);
  }

  /** cgroup v2 id; with CGROUP. */
  get cgroup(): number {
    return this.#u64(at.cgroup);
  }

  /** Low word of the cgroup id. */
  get cgroupLo(): number {
    return this.#u32(at.cgroup);
  }

  /** High word of the cgroup id. */
  get cgroupHi(): number {
    return this.#u32(at.cgroup + 4);
  }

  /** Low word of the network namespace's cookie, or of its inode with NET_IS_INODE. */
  get netLo(): number {
    return this.#u32(at.net);
  }

  /** High word of the network namespace's cookie. */
  get netHi(): number {
    return this.#u32(at.net + 4);
  }

  /** Network namespace cookie, or inode with NET_IS_INODE. */
  get net(): number {
    return this.#u64(at.net);
  }

  /** 0: unknown. */
  get ifindex(): number {
    return this.#u32(at.ifindex);
  }

  /** Id in the stack map; with STACK. */
  get stack(): number {
    return this.#u32(at.stack) | 0;
  }

  /** Name of the process of `tgid`, up to the first NUL; invalid UTF-8 is replaced. Makes a string: for events only. */
  get comm(): string {
    const start = this.at + at.comm;
    let end = start;
    while (end < this.at + at.saddr && this.bytes[end] !== 0) end++;
    return text.decode(this.bytes.subarray(start, end));
  }

  /** Offset in `bytes` of the source address: 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  get saddrAt(): number {
    return this.at + at.saddr;
  }

  /** Offset in `bytes` of the destination address. */
  get daddrAt(): number {
    return this.at + at.daddr;
  }

  /** The source address as four little-endian words, signed as V8 likes small integers. */
  get saddr0(): number {
    return this.#u32(at.saddr) | 0;
  }

  get saddr1(): number {
    return this.#u32(at.saddr + 4) | 0;
  }

  get saddr2(): number {
    return this.#u32(at.saddr + 8) | 0;
  }

  get saddr3(): number {
    return this.#u32(at.saddr + 12) | 0;
  }

  /** The destination address as four little-endian words. */
  get daddr0(): number {
    return this.#u32(at.daddr) | 0;
  }

  get daddr1(): number {
    return this.#u32(at.daddr + 4) | 0;
  }

  get daddr2(): number {
    return this.#u32(at.daddr + 8) | 0;
  }

  get daddr3(): number {
    return this.#u32(at.daddr + 12) | 0;
  }

  /** Host order; ICMP: type. */
  get sport(): number {
    return this.#u16(at.sport);
  }

  /** Host order; ICMP: code. */
  get dport(): number {
    return this.#u16(at.dport);
  }

  /** 2 or 10: of the packet. */
  get family(): number {
    return this.bytes[this.at + at.family];
  }

  /** IPPROTO_ */
  get proto(): number {
    return this.bytes[this.at + at.proto];
  }

  /** TCP state of the socket; 0: none. */
  get state(): number {
    return this.bytes[this.at + at.state];
  }

  /** 0 none or forwarded, 1 in, 2 out. */
  get side(): number {
    return this.bytes[this.at + at.side];
  }

  /** Socket cookie; 0: none. */
  get sock(): number {
    return this.#u64(at.sock);
  }

  /** Meaning: the probe's probe.ts, as of v0 to v2. */
  get code(): number {
    return this.#u32(at.code);
  }

  get v0(): number {
    return this.#u32(at.v);
  }

  get v1(): number {
    return this.#u32(at.v + 4);
  }

  get v2(): number {
    return this.#u32(at.v + 8);
  }

  /** A 64-bit word of the tails, 0 to 15; 0 where the record is too short to have it. */
  x(index: number): number {
    const offset = at.x + index * 8;
    return offset + 8 <= this.length ? this.#u64(offset) : 0;
  }

  /** The current record's bytes in memory of their own. */
  copy(): Uint8Array {
    return this.bytes.slice(this.at, this.#next);
  }

  #u16(offset: number): number {
    return this.#halves[(this.at + offset) >>> 1];
  }

  #u32(offset: number): number {
    return this.#words[(this.at + offset) >>> 2];
  }

  #u64(offset: number): number {
    const word = (this.at + offset) >>> 2;
    return this.#words[word] + this.#words[word + 1] * two32;
  }
}
