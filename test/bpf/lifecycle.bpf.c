/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Programs and maps of every kind that the addon handles, for its own tests. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

struct settings {
	__u32 first;
	__u32 second;
};

volatile struct settings settings SEC(".data.settings") = {.first = 11, .second = 22};
volatile __u64 switches;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} entries SEC(".maps");

struct {
	__uint(type, 5 /* BPF_MAP_TYPE_PERCPU_HASH */);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} per_cpu_entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} per_cpu_array SEC(".maps");

/* A kind of map that the kernel reads key by key only. */
struct {
	__uint(type, 25 /* BPF_MAP_TYPE_DEVMAP_HASH */);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

SEC("tp_btf/sched_switch")
int count_switches(void *context)
{
	__sync_fetch_and_add(&switches, 1);
	return 0;
}

/* Adds and deletes entries all the time, above those that the test put there. */
SEC("tp_btf/sched_switch")
int churn(void *context)
{
	__u64 turn = __sync_fetch_and_add(&switches, 1), key = 1ULL << 32 | turn % 512;

	if (bpf_map_update_elem(&entries, &key, &turn, BPF_NOEXIST))
		bpf_map_delete_elem(&entries, &key);
	return 0;
}

SEC("syscall")
int read_settings(void *context)
{
	return settings.first * 1000 + settings.second;
}

struct add {
	__u64 key;
	__u64 by;
	__u64 sum; /* written back */
};

/* Adds to an entry of this CPU. */
SEC("syscall")
int add_per_cpu(struct add *context)
{
	__u64 key = context->key, zero = 0, *value;

	bpf_map_update_elem(&per_cpu_entries, &key, &zero, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&per_cpu_entries, &key);
	if (!value)
		return -1;
	*value += context->by;
	context->sum = *value;
	return 0;
}

static __always_inline void emit_one(__u32 size_in_units, void *record)
{
	__u8 *bytes = record;

	if (bytes) {
		__builtin_memset(bytes, 0xab, 64);
		bytes[11] = size_in_units;
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	}
}

/* Records of all lengths, right and wrong ones, and one that is discarded: 3 good, 5 malformed. */
SEC("syscall")
int emit_odd(void *context)
{
	void *discarded = bpf_ringbuf_reserve(&events, 128, 0);

	if (discarded)
		bpf_ringbuf_discard(discarded, BPF_RB_NO_WAKEUP);
	emit_one(2, bpf_ringbuf_reserve(&events, 128, 0));
	emit_one(1, bpf_ringbuf_reserve(&events, 64, 0));
	emit_one(3, bpf_ringbuf_reserve(&events, 128, 0));
	emit_one(3, bpf_ringbuf_reserve(&events, 192, 0));
	emit_one(2, bpf_ringbuf_reserve(&events, 136, 0));
	emit_one(5, bpf_ringbuf_reserve(&events, 320, 0));
	emit_one(2, bpf_ringbuf_reserve(&events, 100, 0));
	emit_one(4, bpf_ringbuf_reserve(&events, 256, 0));
	return 0;
}

static long pass_time(__u32 index, void *unused)
{
	return 0;
}

struct slow {
	__u32 steps;
};

/* Takes its time between reserving a record and committing it: byte 0 says which it is. */
SEC("syscall")
int emit_slowly(struct slow *context)
{
	__u8 *bytes = bpf_ringbuf_reserve(&events, 128, 0);

	if (!bytes)
		return -1;
	bytes[0] = 1;
	bytes[11] = 2;
	bpf_loop(context->steps, pass_time, (void *)0, 0);
	bytes[0] = 2;
	bpf_ringbuf_submit(bytes, BPF_RB_NO_WAKEUP);
	return 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_map {
	__u32 id;
};

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
};

#pragma clang attribute pop


/* Writes each map's id 16 * `repeat` times. */
volatile __u32 repeat = 1;

SEC("iter/bpf_map")
int list_maps(struct bpf_iter__bpf_map *context)
{
	struct bpf_map *map = context->map;
	__u32 ids[16];

	if (!map)
		return 0;
	for (int i = 0; i < 16; i++)
		ids[i] = map->id;
	for (__u32 i = 0; i < 500 && i < repeat; i++)
		bpf_seq_write(context->meta->seq, ids, sizeof(ids));
	return 0;
}

/* Not loaded unless asked for: the verifier refuses it. */
SEC("?syscall")
int refused(void *context)
{
	__u64 key = 1, *value = bpf_map_lookup_elem(&entries, &key);

	return *value;
}

/* A hook that no kernel has. */
SEC("?tp_btf/jitterscope_no_such_tracepoint")
int no_such_hook(void *context)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
