/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Whose a socket is: the process that connected it or that listens on it. Noted while that process runs, because a hook
 * in softirq finds some other process there. Accepted connections inherit it from their listener. An object that
 * includes this also gets the two programs that fill the map.
 */
#ifndef JITTERSCOPE_OWNER_H
#define JITTERSCOPE_OWNER_H

#include "kernel.h"
#include "record.h"
#include "tuple.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct owner {
	__u32 tgid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} owners SEC(".maps");

static __always_inline void owner_read(struct owner *owner, struct task_struct *task)
{
	owner->tgid = task->tgid;
	BPF_CORE_READ_STR_INTO(&owner->comm, task, group_leader, comm);
}

/* Tells the owner of a full socket, if known. */
static __always_inline void owner_tell(struct record *record, struct sock *sk)
{
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, 0);

	if (!owner)
		return;
	record->flags |= RECORD_OWNER;
	record->tgid = owner->tgid;
	__builtin_memcpy(record->comm, owner->comm, sizeof(record->comm));
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
	if (bpf_sk_storage_get(&owners, sk, 0, 0))
		return 0;
	owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (owner)
		owner_read(owner, task);
	return 0;
}

#endif
