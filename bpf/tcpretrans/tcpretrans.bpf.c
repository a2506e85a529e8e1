/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP segments that this kernel's sockets send again, and why. README.md says what is seen, and what is not. */
#include "emit.h"
#include "netns.h"
#include "sock.h"
#include "tuple.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum variant {
	VARIANT_SEGMENT = 1,
	VARIANT_SYN_ACK = 2,
};

/* Why a segment is sent again: code of the record, bucket of the counters. Numbers are never reused. */
enum retransmit_kind {
	KIND_OTHER = 0,
	KIND_RTO = 1,
	KIND_FAST = 2,
	KIND_TLP = 3,
	KIND_SYN = 4,
	KIND_SYN_ACK = 5,
};

/* Words of the tail; probe.ts says what they mean. */
enum tail_word {
	X_SEGMENTS = 0,
	X_RETRANSMITS = 1,
	X_TOTAL_SEGMENTS = 2,
	X_UNACKED_SEGMENTS = 3,
	X_ACCEPT_QUEUE = 4,
	X_ACCEPT_QUEUE_MAX = 5,
	X_ERRNO = 6,
	X_QUEUE_DROPPED = 7,
};

/* include/uapi/linux/tcp.h, include/net/inet_connection_sock.h */
#define TCP_CA_RECOVERY 3
#define TCP_CA_LOSS 4
#define ICSK_TIME_LOSS_PROBE 5

/* include/uapi/asm-generic/errno-base.h, errno.h: the same on x86 and arm64. */
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EHOSTUNREACH 113

static __always_inline __u32 kind_of(struct tcp_sock *tp, __u8 state)
{
	__u8 ca_state = BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state);

	/* The handshake's own first: its timeout sets the congestion state to Loss, too. */
	if (state == TCP_SYN_SENT)
		return KIND_SYN;
	if (state == TCP_SYN_RECV)
		return KIND_SYN_ACK;
	if (ca_state == TCP_CA_LOSS)
		return KIND_RTO;
	if (ca_state == TCP_CA_RECOVERY)
		return KIND_FAST;
	return tp->inet_conn.icsk_pending == ICSK_TIME_LOSS_PROBE ? KIND_TLP : KIND_OTHER;
}

/* Segments of a packet, as TCP itself counts them (tcp_skb_pcount). */
static __always_inline __u32 segments_of(const struct sk_buff *skb)
{
	const struct tcp_skb_cb *cb = (const void *)&skb->cb;
	__u16 segments = BPF_CORE_READ(cb, tcp_gso_segs);

	return segments ? segments : 1;
}

static __always_inline int segment_sent(void *ctx, struct sock *sk, const struct sk_buff *skb, int error)
{
	struct netns netns = netns_of_event(sk, 0);
	struct record *record;
	struct tcp_sock *tp;
	__u32 segments, kind;
	__u8 state;

	if (!netns_wanted(PROBE_TCPRETRANS, netns.id))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	state = sk->__sk_common.skc_state;
	kind = kind_of(tp, state);
	segments = segments_of(skb);
	count_add(netns.id, METRIC_TCPRETRANS_SEGMENTS, kind, 0, segments);
	count(netns.id, METRIC_TCPRETRANS_RETRANSMITS, kind, 0);
	record = emit_begin_tails(PROBE_TCPRETRANS, VARIANT_SEGMENT, netns.id, 1);
	if (!record)
		return 0;
	record->flags = netns.flags;
	if (kind == KIND_SYN)
		record->flags |= RECORD_CLIENT;
	else if (kind == KIND_SYN_ACK)
		record->flags |= RECORD_SERVER;
	record->proto = IPPROTO_TCP;
	record->side = SIDE_OUT;
	record->code = kind;
	record->v[1] = tp->srtt_us >> 3;
	record->v[2] = tp->snd_cwnd;
	record->x[X_SEGMENTS] = segments;
	record->x[X_RETRANSMITS] = tp->inet_conn.icsk_retransmits;
	record->x[X_TOTAL_SEGMENTS] = tp->total_retrans;
	record->x[X_UNACKED_SEGMENTS] = tp->packets_out;
	record->x[X_ERRNO] = error < 0 ? -error : 0;
	record->x[X_QUEUE_DROPPED] = error > 0;
	tuple_of_sock(record, sk);
	tell_sock(record, sk);
	emit_end(ctx, record);
	return 0;
}

/*
 * With an error (6.18; not yet in 6.14): the tracepoint also tells of attempts that the kernel gave up before it counted
 * them as retransmitted, each by one of four errors. Others are of packets that were counted and then not sent.
 */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcpretrans_segment, struct sock *sk, const struct sk_buff *skb, int error)
{
	if (error == -EBUSY || error == -EAGAIN || error == -ENOMEM || error == -EHOSTUNREACH)
		return 0;
	return segment_sent(ctx, sk, skb, error);
}

/* Before: only those that were sent. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcpretrans_segment_no_error, struct sock *sk, const struct sk_buff *skb)
{
	return segment_sent(ctx, sk, skb, 0);
}

/* sk listens, or is the connection itself with TCP Fast Open. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcpretrans_syn_ack, struct sock *sk, struct request_sock *req)
{
	struct netns netns = netns_of_event(sk, 0);
	struct sock *request = (struct sock *)req;
	struct record *record;

	if (!netns_wanted(PROBE_TCPRETRANS, netns.id))
		return 0;
	count(netns.id, METRIC_TCPRETRANS_SEGMENTS, KIND_SYN_ACK, 0);
	count(netns.id, METRIC_TCPRETRANS_RETRANSMITS, KIND_SYN_ACK, 0);
	record = emit_begin_tails(PROBE_TCPRETRANS, VARIANT_SYN_ACK, netns.id, 1);
	if (!record)
		return 0;
	record->flags = netns.flags | RECORD_SERVER;
	record->proto = IPPROTO_TCP;
	record->side = SIDE_OUT;
	record->code = KIND_SYN_ACK;
	record->x[X_SEGMENTS] = 1;
	/* The kernel counts this one after the tracepoint. */
	record->x[X_RETRANSMITS] = req->num_retrans + 1;
	record->x[X_ACCEPT_QUEUE] = sk->sk_ack_backlog;
	record->x[X_ACCEPT_QUEUE_MAX] = sk->sk_max_ack_backlog;
	tuple_of_sock(record, request);
	/* The request's cookie goes on to the connection that it becomes. */
	tell_sock(record, request);
	tell_cgroup(record, sk);
	owner_tell(record, sk);
	emit_end(ctx, record);
	return 0;
}
