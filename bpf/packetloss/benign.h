/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Drops that healthy traffic makes, by reason and by the function that drops: user space knows the running kernel's
 * names and writes their numbers here before the probe is attached. One function has several places that drop, so its
 * whole range is compared.
 */
#ifndef JITTERSCOPE_PACKETLOSS_BENIGN_H
#define JITTERSCOPE_PACKETLOSS_BENIGN_H

#include "kernel.h"
#include <bpf/bpf_helpers.h>

#define MAX_BENIGN 128
#define LISTED_REASONS 256

/* Places as distances from _stext; a site is a return address: it lies behind its call. */
struct benign_range {
	__u32 reason;
	__u32 start;
	__u32 bytes;
	__u32 packet_types; /* bit n: packets of type n (include/uapi/linux/if_packet.h) */
};

/* bpf/packetloss/benign.ts writes it. */
struct drop_table {
	__u64 stext; /* address of _stext; 0: not known */
	__u32 ranges;
	__u32 unused;
	__u8 listed[LISTED_REASONS]; /* 1: range holds the reason */
	struct benign_range range[MAX_BENIGN];
};

volatile struct drop_table drop_table SEC(".data.drops") = {};

static __always_inline bool is_benign(__u32 reason, __u32 site, __u32 packet_type)
{
	__u32 index = reason;

	/* So that the verifier sees the bound on the register that is used. */
	barrier_var(index);
	if (reason >= LISTED_REASONS || !drop_table.listed[index & (LISTED_REASONS - 1)])
		return false;
	for (__u32 i = 0; i < MAX_BENIGN; i++) {
		if (i >= drop_table.ranges)
			break;
		if (drop_table.range[i].reason == reason && site - 1 - drop_table.range[i].start < drop_table.range[i].bytes &&
		    drop_table.range[i].packet_types & 1 << packet_type)
			return true;
	}
	return false;
}

#endif
