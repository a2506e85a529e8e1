/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Emits numbered records as a probe does (emit.h), by either transport; for the addon's tests. */
#include "emit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define WORDS 32 /* of 128 bytes */
#define MOST 1024

struct bpf_raw_tracepoint_args {
	__u64 args[1];
};

/* Number of the next record. Only one program runs at a time. */
__u64 next;

static __always_inline void fill(struct record *record)
{
	__u32 *words = (__u32 *)record, number = next;

	/* Every word behind the header says which record it belongs to, so that a torn one shows. */
	for (int i = 4; i < WORDS; i++)
		words[i] = number ^ (i << 26);
	record->net = 1;
	record->v[0] = 0;
}

/* A function for itself, so that the verifier looks at it once. */
__noinline int emit_one(struct bpf_raw_tracepoint_args *ctx)
{
	struct record *record = emit_begin(PROBE_BURST, 1, 1);

	if (record) {
		fill(record);
		emit_end(ctx, record);
	}
	next++;
	return 0;
}

/* args[0]: how many, at most MOST. */
SEC("raw_tp")
int emit_many(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 count = ctx->args[0];

	for (__u32 i = 0; i < MOST && i < count; i++)
		emit_one(ctx);
	return 0;
}

/* Begins five records, as programs do that interrupt each other, then ends them. Returns how many it got. */
SEC("raw_tp")
int emit_nested(struct bpf_raw_tracepoint_args *ctx)
{
	struct record *first = emit_begin(PROBE_BURST, 1, 1), *second = emit_begin_tails(PROBE_BURST, 2, 1, 1);
	struct record *third = emit_begin_tails(PROBE_BURST, 3, 1, 2), *fourth = emit_begin(PROBE_BURST, 4, 1);
	struct record *fifth = emit_begin(PROBE_BURST, 5, 1);
	int got = !!first + !!second + !!third + !!fourth + !!fifth;

	if (fifth)
		emit_end(ctx, fifth);
	if (fourth)
		emit_end(ctx, fourth);
	if (third)
		emit_end(ctx, third);
	if (second)
		emit_end(ctx, second);
	if (first)
		emit_end(ctx, first);
	return got;
}

/* Puts bytes of odd lengths into the perf buffer: one good, five malformed. */
SEC("raw_tp")
int perf_odd(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 bytes[40] = {};

	((__u8 *)bytes)[11] = 2;
	bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, bytes, 128);
	bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, bytes, 8);
	bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, bytes, 100);
	bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, bytes, 136);
	bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, bytes, 192);
	bpf_perf_event_output(ctx, &perf_events, BPF_F_CURRENT_CPU, bytes, 320);
	return 0;
}
