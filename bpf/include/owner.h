/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Whose a socket is: the process that connected it or that listens on it. Noted by bpf/base while that process runs,
 * because a hook in softirq finds some other process there. Accepted connections inherit it from their listener.
 */
#ifndef JITTERSCOPE_OWNER_H
#define JITTERSCOPE_OWNER_H

#include "kernel.h"
#include "maps.h"
#include "record.h"
#include <bpf/bpf_helpers.h>

/* Tells the owner of a full socket, if known. */
static __always_inline void owner_tell(struct record *record, struct sock *sk)
{
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);

	if (!owner || !owner->tgid)
		return;
	record->flags |= RECORD_OWNER;
	record->tgid = owner->tgid;
	__builtin_memcpy(record->comm, owner->comm, sizeof(record->comm));
}

#endif
