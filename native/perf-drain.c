/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer side of perf buffers (include/uapi/linux/perf_event.h, perf_event_open(2)): one for each CPU, a page that
 * says where it begins and ends, and the data. A record may wrap. What a BPF program put there is a PERF_RECORD_SAMPLE
 * with raw data: a length of 32 bits and the bytes, padded so that both end at a multiple of eight.
 */
#include "perf.h"

#include <bpf/bpf.h>
#include <string.h>
#include <unistd.h>

/* Samples of this program are a header, a length and a record. */
#define SAMPLE_MAX_BYTES (sizeof(struct perf_event_header) + sizeof(uint32_t) + RECORD_MAX_BYTES + 8)
/* A program that found its buffer before it was taken out of the map has written to it by then. */
#define LAST_WAIT_US 2000

/* Gives the kernel the room up to here. */
static void publish(struct perf_cpu *cpu, uint64_t tail)
{
	__atomic_store_n(&cpu->page->data_tail, tail, __ATOMIC_RELEASE);
}

/* The bytes at a position, in one piece: where they lie, or copied to scratch. */
static const uint8_t *piece(const struct perf *perf, const struct perf_cpu *cpu, uint64_t at, size_t size, uint8_t *scratch)
{
	size_t offset = at & (perf->cpu_bytes - 1), until_end = perf->cpu_bytes - offset;

	if (size <= until_end)
		return cpu->data + offset;
	memcpy(scratch, cpu->data + offset, until_end);
	memcpy(scratch + until_end, cpu->data, size - until_end);
	return scratch;
}

/* False when no chunk was free. */
static bool take_one(struct perf *perf, struct reader *reader, const struct perf_event_header *header)
{
	const uint8_t *body = (const uint8_t *)(header + 1);
	uint64_t lost;
	uint32_t size;

	if (header->type == PERF_RECORD_LOST) {
		/* u64 id, u64 lost */
		memcpy(&lost, body + sizeof(lost), sizeof(lost));
		__atomic_add_fetch(&perf->lost, lost, __ATOMIC_RELAXED);
	}
	if (header->type != PERF_RECORD_SAMPLE)
		return true;
	memcpy(&size, body, sizeof(size));
	/* Records are multiples of eight: then the padding is these four bytes. */
	if (size < sizeof(uint32_t) || sizeof(*header) + sizeof(size) + size > header->size) {
		reader_count_malformed(reader);
		return true;
	}
	return reader_put(reader, body + sizeof(size), size - sizeof(uint32_t));
}

/* Takes the records of a CPU up to head. False when no chunk was free. */
static bool take(struct perf *perf, struct reader *reader, struct perf_cpu *cpu, uint64_t head)
{
	uint64_t tail = cpu->page->data_tail, published = tail;
	_Alignas(struct perf_event_header) uint8_t scratch[SAMPLE_MAX_BYTES];
	bool room = true;

	while (tail < head) {
		const struct perf_event_header *header =
			(const void *)(cpu->data + (tail & (perf->cpu_bytes - 1)));
		size_t size = header->size;

		/* Cannot be: nothing behind it can be told apart. */
		if (size < sizeof(*header)) {
			reader_count_malformed(reader);
			tail = head;
			break;
		}
		if (size > sizeof(scratch))
			reader_count_malformed(reader);
		else
			room = take_one(perf, reader, (const void *)piece(perf, cpu, tail, size, scratch));
		if (!room)
			break;
		tail += size;
		if (tail - published >= perf->cpu_bytes / 16) {
			publish(cpu, tail);
			published = tail;
		}
	}
	publish(cpu, tail);
	return room;
}

/* From here on programs find no buffer, and count what they would have put there. */
static void take_out_of_map(struct perf *perf)
{
	for (uint32_t i = 0; i < perf->count; i++) {
		if (perf->cpus[i].fd >= 0)
			bpf_map_delete_elem(perf->map_fd, &i);
	}
	usleep(LAST_WAIT_US);
	for (size_t i = 0; i < perf->count; i++) {
		if (perf->cpus[i].fd >= 0)
			perf->cpus[i].last_head = perf_head(&perf->cpus[i]);
	}
}

enum drained perf_drain(struct source *source, struct reader *reader, bool last)
{
	struct perf *perf = (struct perf *)source;
	bool half_full = false;

	if (last && !perf->last) {
		perf->last = true;
		take_out_of_map(perf);
	}
	for (size_t i = 0; i < perf->count; i++) {
		struct perf_cpu *cpu = &perf->cpus[i];
		uint64_t head;

		if (cpu->fd < 0)
			continue;
		head = last ? cpu->last_head : perf_head(cpu);
		half_full |= head - cpu->page->data_tail > perf->cpu_bytes / 2;
		if (!take(perf, reader, cpu, head))
			return DRAINED_FULL;
	}
	if (last)
		return DRAINED_END;
	/* A buffer fills faster than the timer: do not wait for it. */
	return half_full ? DRAINED_MORE : DRAINED_ALL;
}
