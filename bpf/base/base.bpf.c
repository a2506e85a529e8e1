/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What all probes share: the maps of maps.h, and the programs that note whose a socket is. */
#include "kernel.h"
#include "maps.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void owner_read(struct owner *owner, struct task_struct *task)
{
	owner->tgid = task->tgid;
	BPF_CORE_READ_STR_INTO(&owner->comm, task, group_leader, comm);
}

/* connect() and listen() set these states in the caller's context. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(owner_note, struct sock *sk, int oldstate, int newstate)
{
	struct owner *owner;

	if (newstate != TCP_SYN_SENT && newstate != TCP_LISTEN)
		return 0;
	owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (owner)
		owner_read(owner, bpf_get_current_task_btf());
	return 0;
}

/* Run once after owner_note is attached: notes the holders of the TCP sockets that are already there. */
SEC("iter/task_file")
int owner_seed(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct owner *owner;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6) || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (owner && !owner->tgid)
		owner_read(owner, task);
	return 0;
}
