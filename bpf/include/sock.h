/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a record tells of a socket: cookie, state, interface, cgroup, owner. */
#ifndef JITTERSCOPE_SOCK_H
#define JITTERSCOPE_SOCK_H

#include "kernel.h"
#include "owner.h"
#include "record.h"
#include "tuple.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* Cgroup of the socket: that of the process that made it. Full sockets only. */
static __always_inline void tell_cgroup(struct record *record, const struct sock *sk)
{
	struct cgroup *cgroup = 0;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else if (bpf_core_field_exists(struct sock_cgroup_data___val, val)) {
		struct sock_cgroup_data___val *data = (void *)&sk->sk_cgrp_data;
		__u64 val = BPF_CORE_READ(data, val);

		cgroup = val & 3 ? 0 : (struct cgroup *)val;
	}
	record->cgroup = cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
	if (record->cgroup)
		record->flags |= RECORD_CGROUP;
}

/* Everything that a socket of any kind tells; the tuple is there already. */
static __always_inline void tell_sock(struct record *record, struct sock *sk)
{
	record->flags |= RECORD_SOCK;
	record->state = sk->__sk_common.skc_state;
	record->sock = bpf_get_socket_cookie(sk);
	if (!record->ifindex)
		record->ifindex = sk->__sk_common.skc_bound_dev_if;
	if (record->family == AF_INET && sk->__sk_common.skc_family == AF_INET6)
		record->flags |= RECORD_V4MAPPED;
	if (!sock_is_full(sk))
		return;
	if (!record->ifindex && bpf_core_field_exists(sk->sk_rx_dst_ifindex))
		record->ifindex = BPF_CORE_READ(sk, sk_rx_dst_ifindex);
	tell_cgroup(record, sk);
	owner_tell(record, sk);
}

#endif
