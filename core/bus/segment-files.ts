import type { EncodedGroup } from './append-queue.ts';
import { type Disk, writeFully } from './disk.ts';
import { createSegment, type PartitionFiles } from './partition-files.ts';
import { bytesOf, segmentsToDrop } from './retention.ts';
import type { Segment } from './segment.ts';

/** The segments of one partition, and the file that is appended to. */
export class SegmentFiles {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #segments: Segment[];
  /** Descriptor of the last segment; -1 when there is none. */
  #fd: number;
  #bytes: number;
  /** Bytes of a failed write may lie behind the last segment's end. */
  #dirty = false;

  constructor(disk: Disk, folder: string, segmentBytes: number, { segments, fd }: PartitionFiles) {
    this.#disk = disk;
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
    this.#segments = segments;
    this.#fd = fd;
    this.#bytes = bytesOf(segments);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Oldest first. */
  get all(): readonly Segment[] {
    return this.#segments;
  }

  /** Appends a group and makes it durable. After a failure nothing of it is left, or the next call removes it first. */
  async append(group: EncodedGroup): Promise<void> {
    try {
      await this.#cutTorn();
      const segment = await this.#writable(group);
      this.#dirty = true;
      await writeFully(this.#disk, this.#fd, group.buffers, group.bytes, segment.size);
      await this.#disk.fdatasync(this.#fd);
      this.#dirty = false;
      segment.grow(group.bytes, group.next);
      this.#bytes += group.bytes;
    } catch (error) {
      await this.#cutTorn().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Drops the oldest segments so that `excessBytes` go, as far as they lie below the floor.
   * @returns the dropped ones; their files are removed once `removed` resolves
   */
  drop(excessBytes: number, floor: number): { readonly segments: readonly Segment[]; readonly removed: Promise<void> } {
    const segments = this.#segments.splice(0, segmentsToDrop(this.#segments, excessBytes, floor));
    for (const segment of segments) {
      segment.deleted = true;
      this.#bytes -= segment.size;
    }
    return { segments, removed: this.#remove(segments) };
  }

  async close(): Promise<void> {
    if (this.#fd !== -1) await this.#disk.close(this.#fd);
    this.#fd = -1;
  }

  async #remove(segments: readonly Segment[]): Promise<void> {
    for (const { path } of segments) await this.#disk.remove(path);
    if (segments.length > 0) await this.#disk.syncFolder(this.#folder);
  }

  async #writable({ first, bytes }: EncodedGroup): Promise<Segment> {
    const last = this.#segments.at(-1);
    // Offsets are in a row within a segment: after a jump a new one begins.
    const fits = last !== undefined && last.end === first && (last.size === 0 || last.size + bytes <= this.#segmentBytes);
    if (fits) return last;
    const { segment, fd } = await createSegment(this.#disk, this.#folder, first);
    if (this.#fd !== -1) await this.#disk.close(this.#fd).catch(() => undefined);
    this.#fd = fd;
    if (last !== undefined) last.end = first;
    this.#segments.push(segment);
    return segment;
  }

  /** Removes the bytes that a failed write left behind, so that they never look like messages. */
  async #cutTorn(): Promise<void> {
    if (!this.#dirty) return;
    await this.#disk.truncate(this.#fd, this.#segments[this.#segments.length - 1].size);
    this.#dirty = false;
  }
}
