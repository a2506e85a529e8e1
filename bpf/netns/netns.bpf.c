/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Lists the network namespace of every process: cookie, inode, process, in one pass, without entering any of them. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct netns_row {
	__u64 cookie; /* 0 before 5.12 */
	__u32 inum;   /* inode of /proc/<tgid>/ns/net */
	__u32 tgid;
	char comm[16];
};

SEC("iter/task")
int netns_list(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct netns_row row = {};
	struct nsproxy *proxy;
	struct net *net;

	if (!task || task->pid != task->tgid)
		return 0;
	proxy = task->nsproxy;
	if (!proxy)
		return 0;
	net = proxy->net_ns;
	if (!net)
		return 0;
	if (bpf_core_field_exists(net->net_cookie))
		row.cookie = net->net_cookie;
	row.inum = net->ns.inum;
	row.tgid = task->tgid;
	BPF_CORE_READ_STR_INTO(&row.comm, task, comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
