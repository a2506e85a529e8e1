/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How full the accept queues of listeners are, and how long connections wait in them. See README.md. */
#include "emit.h"
#include "histogram.h"
#include "netns.h"
#include "sock.h"
#include "tuple.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum variant {
	VARIANT_QUEUE = 1,
	VARIANT_ACCEPTED = 2,
};

/* What is remarkable about a queue: code of the record; the greatest that fits. Numbers are never reused. */
enum level {
	LEVEL_NONE = 0,
	LEVEL_FILLING = 1,
	LEVEL_STALLED = 2,
	LEVEL_FULL = 3,
};

/* How much of the queue others had taken: bucket of the counter. */
enum fill {
	FILL_BELOW_QUARTER = 0,
	FILL_BELOW_HALF = 1,
	FILL_BELOW_THREE_QUARTERS = 2,
	FILL_BELOW_FULL = 3,
	FILL_FULL = 4,
};

/* Words of the tail of a queue's record; probe.ts says what they mean. */
enum tail_word {
	X_OLDEST_WAIT_US = 0,
	X_DROPS = 1,
};

/* Changed by user space while programs run; thresholds.ts describes it. */
struct thresholds {
	__u32 fill_percent;
	__u32 slow_accept_us;
	__u32 repeat_ms;
};

volatile struct thresholds tcpaccept_thresholds SEC(".data.tcpaccept") = {
	.fill_percent = 75,
	.slow_accept_us = 500 * 1000,
	.repeat_ms = 1000,
};

/* When a listener's queue was told last, and as what. Only of listeners that were told. */
struct told {
	__u64 ns;
	__u32 level;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct told);
} listeners_told SEC(".maps");

/* Of a socket that the verifier may not know. */
static __always_inline bool is_tcp(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/*
 * Time since a connection was established, us, as long as nobody has read from it: tcp_init_buffer_space() sets this
 * clock then, and only the reading application moves it on. So no time has to be kept for each connection.
 */
static __always_inline __u64 age_of(const struct sock *sk, __u64 now)
{
	__u64 established = BPF_CORE_READ((const struct tcp_sock *)sk, rcvq_space.time);

	now /= 1000;
	return now > established ? now - established : 0;
}

/*
 * The connection that has waited longest; NULL: none. It may be accepted meanwhile: what was its memory is read then, and
 * that is safe.
 */
static __always_inline const struct sock *oldest_of(struct tcp_sock *tp, const struct sock *sk)
{
	struct request_sock *head = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.rskq_accept_head);
	const struct sock *child = head ? BPF_CORE_READ(head, sk) : 0;

	return child && BPF_CORE_READ(child, __sk_common.skc_num) == sk->__sk_common.skc_num ? child : 0;
}

static __always_inline __u16 fill_of(__u32 others, __u32 max)
{
	if (!others || others * 4 < max)
		return FILL_BELOW_QUARTER;
	if (others >= max)
		return FILL_FULL;
	if (others * 2 < max)
		return FILL_BELOW_HALF;
	return others * 4 < max * 3 ? FILL_BELOW_THREE_QUARTERS : FILL_BELOW_FULL;
}

/* The ends of a connection that the verifier does not know as a socket. */
static __always_inline void tuple_of_accepted(struct record *record, const struct sock *sk)
{
	const struct sock_common *common = &sk->__sk_common;
	__u32 *words = (__u32 *)record->daddr;

	record->family = BPF_CORE_READ(common, skc_family);
	record->dport = bpf_ntohs(BPF_CORE_READ(common, skc_dport));
	record->sport = bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sk, inet_sport));
	if (record->family == AF_INET) {
		put_ipv4(record->saddr, BPF_CORE_READ(common, skc_rcv_saddr));
		put_ipv4(record->daddr, BPF_CORE_READ(common, skc_daddr));
	} else if (bpf_core_field_exists(common->skc_v6_daddr)) {
		BPF_CORE_READ_INTO(&record->saddr, common, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&record->daddr, common, skc_v6_daddr);
		if (words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff)) {
			record->family = AF_INET;
			record->flags |= RECORD_V4MAPPED;
		}
	}
}

static __always_inline void tell_queue(void *ctx, struct sock *sk, const struct netns *netns, __u32 queued, __u32 max)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 now = bpf_ktime_get_ns();
	__u32 level = LEVEL_NONE;
	const struct sock *oldest;
	struct record *record;
	struct told *told;
	__u64 oldest_us;

	if (!tp)
		return;
	oldest = oldest_of(tp, sk);
	oldest_us = oldest ? age_of(oldest, now) : 0;
	/* The kernel takes one more than the maximum (sk_acceptq_is_full). */
	if (queued > max)
		level = LEVEL_FULL;
	else if (oldest_us >= tcpaccept_thresholds.slow_accept_us)
		level = LEVEL_STALLED;
	else if ((__u64)queued * 100 >= (__u64)max * tcpaccept_thresholds.fill_percent)
		level = LEVEL_FILLING;
	if (level == LEVEL_NONE)
		return;
	told = bpf_sk_storage_get(&listeners_told, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (told) {
		if (level <= told->level && now - told->ns < tcpaccept_thresholds.repeat_ms * 1000000ULL)
			return;
		told->level = level;
		told->ns = now;
	}
	record = emit_begin_tails(PROBE_TCPACCEPT, VARIANT_QUEUE, netns->id, 1);
	if (!record)
		return;
	record->flags = netns->flags | RECORD_SERVER;
	record->proto = IPPROTO_TCP;
	record->side = SIDE_IN;
	record->code = level;
	record->v[1] = queued;
	record->v[2] = max;
	record->x[X_OLDEST_WAIT_US] = oldest_us;
	record->x[X_DROPS] = sk->sk_drops.counter;
	/* What a listener itself knows is often no more than a port. */
	if (oldest)
		tuple_of_accepted(record, oldest);
	else
		tuple_of_sock(record, sk);
	tell_sock(record, sk);
	emit_end(ctx, record);
}

/* A listener's queue, when a connection has just been put into it, or could not be. */
static __always_inline int queue_seen(void *ctx, struct sock *sk, bool queued_now)
{
	__u32 queued = sk->sk_ack_backlog, max = sk->sk_max_ack_backlog;
	__u16 family = sk->__sk_common.skc_family;
	struct netns netns;

	/* Unix sockets have the state LISTEN, too, and MPTCP has it twice. */
	if ((family != AF_INET && family != AF_INET6) || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	netns = netns_of_sock(sk);
	if (!netns_wanted(PROBE_TCPACCEPT, netns.id))
		return 0;
	if (queued_now)
		count(netns.id, METRIC_TCPACCEPT_QUEUED, fill_of(queued ? queued - 1 : 0, max), sk->__sk_common.skc_num);
	/* One alone has come just now, whatever the maximum is. */
	if (queued >= 2)
		tell_queue(ctx, sk, &netns, queued, max);
	return 0;
}

/* 6.3 and later. Called for every packet that wakes a reader, too: the state is looked at first. */
SEC("tp_btf/sk_data_ready")
int BPF_PROG(tcpaccept_queued, struct sock *sk)
{
	return sk->__sk_common.skc_state == TCP_LISTEN ? queue_seen(ctx, sk, true) : 0;
}

/* Before: the queue is looked at when it is full already, and the handshake's last ACK was dropped. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcpaccept_syn_ack, struct sock *sk, struct request_sock *req)
{
	return sk->__sk_common.skc_state == TCP_LISTEN ? queue_seen(ctx, sk, false) : 0;
}

/* In the context of the process that accepts. sk: known to the verifier or not. */
static __always_inline void accepted(void *ctx, struct sock *sk, bool known)
{
	struct netns netns = netns_of(BPF_CORE_READ(sk, __sk_common.skc_net.net));
	struct record *record;
	__u64 wait_us, id;

	if (!netns_wanted(PROBE_TCPACCEPT, netns.id))
		return;
	wait_us = age_of(sk, bpf_ktime_get_ns());
	count_log2(netns.id, METRIC_TCPACCEPT_WAIT, METRIC_TCPACCEPT_WAIT_US, wait_us);
	if (wait_us < tcpaccept_thresholds.slow_accept_us)
		return;
	record = emit_begin(PROBE_TCPACCEPT, VARIANT_ACCEPTED, netns.id);
	if (!record)
		return;
	id = bpf_get_current_pid_tgid();
	record->flags = netns.flags | RECORD_SERVER | RECORD_SOCK | RECORD_TASK;
	record->proto = IPPROTO_TCP;
	record->side = SIDE_IN;
	record->v[1] = wait_us;
	record->tgid = id >> 32;
	record->tid = id;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	record->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	record->sock = known ? bpf_get_socket_cookie(sk) : BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	tuple_of_accepted(record, sk);
	tell_cgroup(record, sk);
	emit_end(ctx, record);
}

/* Where functions can be looked at: every way to accept. Since 6.10 with two arguments. */
SEC("fexit/inet_csk_accept")
int BPF_PROG(tcpaccept_accepted, struct sock *listener, struct proto_accept_arg *arg, struct sock *sk)
{
	if (sk && is_tcp(sk))
		accepted(ctx, sk, true);
	return 0;
}

SEC("fexit/inet_csk_accept")
int BPF_PROG(tcpaccept_accepted_4, struct sock *listener, int flags, int *error, bool kern, struct sock *sk)
{
	if (sk && is_tcp(sk))
		accepted(ctx, sk, true);
	return 0;
}

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_NUMBER(regs) ((struct pt_regs___syscall *)(regs))->orig_ax
#define NR_ACCEPT 43
#define NR_ACCEPT4 288
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL_NUMBER(regs) ((struct pt_regs___syscall *)(regs))->syscallno
#define NR_ACCEPT 202
#define NR_ACCEPT4 242
#endif

/* The socket behind a descriptor of the current process, if it is one. */
static __always_inline struct sock *sock_of_descriptor(long descriptor)
{
	struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
	struct file **files = table->fd;
	struct file *file = 0;
	struct socket *socket;

	if (descriptor >= table->max_fds || bpf_probe_read_kernel(&file, sizeof(file), files + descriptor) || !file)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	/* Another thread may have closed the descriptor and opened something else. */
	return socket && BPF_CORE_READ(socket, file) == file ? BPF_CORE_READ(socket, sk) : 0;
}

/* Elsewhere: accept() and accept4() as they return. Every system call of the machine comes through here. */
SEC("tp_btf/sys_exit")
int BPF_PROG(tcpaccept_sys_exit, struct pt_regs *regs, long result)
{
	long number = SYSCALL_NUMBER(regs);
	struct sock *sk;

	if ((number != NR_ACCEPT && number != NR_ACCEPT4) || result < 0)
		return 0;
	sk = sock_of_descriptor(result);
	if (sk && is_tcp(sk))
		accepted(ctx, sk, false);
	return 0;
}
