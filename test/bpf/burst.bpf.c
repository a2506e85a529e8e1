/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Emits numbered records into a ring that is far too small, and counts what it emitted and lost. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

#define WORDS 32 /* 128 bytes */

enum { EMITTED, LOST };

struct burst {
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

/* EMITTED: also the next record's number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __u64 *count_of(__u32 which)
{
	return bpf_map_lookup_elem(&counts, &which);
}

static long emit(__u32 index, void *unused)
{
	__u64 *emitted = count_of(EMITTED), *lost = count_of(LOST);
	__u32 *record, number;

	if (!emitted || !lost)
		return 1;
	number = (*emitted)++;
	record = bpf_ringbuf_reserve(&events, WORDS * sizeof(*record), 0);
	if (!record) {
		(*lost)++;
		return 0;
	}
	/* Every word says which record it belongs to, so that a torn one shows. */
	for (int i = 0; i < WORDS; i++)
		record[i] = number ^ (i << 26);
	/* Byte 11 is the length in units of 64 bytes. */
	record[2] = 2 << 24;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("syscall")
int burst(struct burst *context)
{
	bpf_loop(context->count, emit, (void *)0, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
