/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The life of TCP connections: how long connecting took, why it failed, how a connection ended. See README.md. */
#include "emit.h"
#include "histogram.h"
#include "netns.h"
#include "sock.h"
#include "tuple.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum variant {
	VARIANT_CONNECT_FAILED = 1,
	VARIANT_CONNECT_SLOW = 2,
	VARIANT_CLOSED = 3,
};

/* What is known of a connection: struct owner's life. */
enum life {
	LIFE_CLIENT = 1 << 0,
	LIFE_SERVER = 1 << 1,
	LIFE_ESTABLISHED = 1 << 2,
};

/* Why a connection was not made: code of the record, bucket of the counter. Others are errnos, which end below. Numbers are never reused. */
enum connect_failure {
	FAILURE_ABORTED = 4096,
	FAILURE_NOT_SENT = 4097,
};

/* How a connection ended: code of the record, bucket of the counter. */
enum ending {
	ENDING_LOCAL_FIN = 1,
	ENDING_FAR_FIN = 2,
	ENDING_RESET_SENT = 3,
	ENDING_RESET_RECEIVED = 4,
	ENDING_RESET_AFTER_CLOSE = 5,
	ENDING_TIMED_OUT = 6,
	ENDING_ERROR = 7,
};

enum direction {
	DIRECTION_SENT = 1,
	DIRECTION_RECEIVED = 2,
};

/* Words of the tail of a closed connection's record; probe.ts says what they mean. */
enum tail_word {
	X_DURATION_US = 0,
	X_BYTES_SENT = 1,
	X_BYTES_RECEIVED = 2,
	X_SEGMENTS_SENT = 3,
	X_SEGMENTS_RECEIVED = 4,
	X_SEGMENTS_RETRANSMITTED = 5,
	X_ERRNO = 6,
};

/* include/uapi/asm-generic/errno-base.h, errno.h: the same on x86 and arm64. */
#define EPIPE 32
#define ECONNRESET 104
#define ETIMEDOUT 110

/* include/uapi/linux/errqueue.h */
#define SO_EE_ORIGIN_ICMP 2
#define SO_EE_ORIGIN_ICMP6 3
/* include/net/sock.h: bit of skc_flags that tcp_fin() sets when the far end's FIN has come. */
#define SOCK_DONE 1

/* Changed by user space while programs run; thresholds.ts describes it. */
struct thresholds {
	__u32 slow_connect_us;	       /* a connect that takes so long is told */
	__u32 retransmitted_segments;  /* a closed connection that sent so many again and ... */
	__u32 retransmitted_per_mille; /* ... so large a part of its segments is told */
};

volatile struct thresholds tcplife_thresholds SEC(".data.tcplife") = {
	.slow_connect_us = 500 * 1000,
	.retransmitted_segments = 10,
	.retransmitted_per_mille = 50,
};

static __always_inline struct record *begin(struct sock *sk, const struct netns *netns, __u8 variant, __u32 tails)
{
	struct record *record = emit_begin_tails(PROBE_TCPLIFE, variant, netns->id, tails);

	if (!record)
		return 0;
	record->flags = netns->flags;
	record->proto = IPPROTO_TCP;
	tuple_of_sock(record, sk);
	tell_sock(record, sk);
	return record;
}

static __always_inline __u64 now_us(void)
{
	return bpf_ktime_get_ns() / 1000;
}

static __always_inline __u64 since(const struct owner *owner, __u64 time_us)
{
	return time_us > owner->since_us ? time_us - owner->since_us : 0;
}

static __always_inline void connecting(struct sock *sk)
{
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!owner)
		return;
	owner->life = LIFE_CLIENT;
	owner->since_us = now_us();
}

static __always_inline void connected(void *ctx, struct sock *sk, struct tcp_sock *tp, struct owner *owner, const struct netns *netns)
{
	__u64 latency_us = since(owner, tp->tcp_mstamp);
	struct record *record;

	owner->life = LIFE_CLIENT | LIFE_ESTABLISHED;
	owner->since_us = tp->tcp_mstamp;
	count_log2(netns->id, METRIC_TCPLIFE_CONNECT, METRIC_TCPLIFE_CONNECT_US, latency_us);
	if (latency_us < tcplife_thresholds.slow_connect_us)
		return;
	record = begin(sk, netns, VARIANT_CONNECT_SLOW, 0);
	if (!record)
		return;
	record->flags |= RECORD_CLIENT;
	record->side = SIDE_OUT;
	record->v[1] = latency_us;
	record->v[2] = tp->total_retrans;
	emit_end(ctx, record);
}

static __always_inline void established(void *ctx, struct sock *sk, const struct netns *netns)
{
	struct owner *owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return;
	if (owner && owner->life == LIFE_CLIENT) {
		connected(ctx, sk, tp, owner, netns);
		return;
	}
	count(netns->id, METRIC_TCPLIFE_ACCEPTED, 0, 0);
	if (!owner)
		return;
	owner->life = LIFE_SERVER | LIFE_ESTABLISHED;
	owner->since_us = tp->tcp_mstamp;
}

/*
 * errno of an ICMP error that waits in the socket's error queue; 0: none. One that arrives while connect() still holds the
 * socket does not end the attempt, but wakes the application, and getsockopt(SO_ERROR) hands it out and forgets it. What
 * ends the attempt then is the application, which was told.
 */
static __always_inline __u32 queued_error(const struct sock *sk)
{
	const struct sk_buff_head *queue = &sk->sk_error_queue;
	const struct sk_buff *skb = BPF_CORE_READ(queue, next);
	const struct sock_exterr_skb *error;
	__u8 origin;

	if ((const void *)skb == (const void *)queue)
		return 0;
	error = (const void *)&skb->cb;
	origin = BPF_CORE_READ(error, ee.ee_origin);
	return origin == SO_EE_ORIGIN_ICMP || origin == SO_EE_ORIGIN_ICMP6 ? BPF_CORE_READ(error, ee.ee_errno) : 0;
}

/* errno of a connection that was not made, or enum connect_failure. */
static __always_inline __u32 failure_of(struct sock *sk)
{
	__u32 error = sk->sk_err;

	if (!error)
		error = sk->sk_err_soft;
	if (!error)
		error = queued_error(sk);
	if (error)
		return error;
	/*
	 * No error: the application closed the socket, or connect() itself failed; both hold the socket's lock. Without it
	 * a timer or a packet did it, and the application has already fetched the error: kernels that report before they
	 * close allow that.
	 */
	if (!sk->sk_lock.owned)
		return ETIMEDOUT;
	return BPF_CORE_READ(sk, sk_socket, state) == SS_UNCONNECTED ? FAILURE_NOT_SENT : FAILURE_ABORTED;
}

static __always_inline void not_connected(void *ctx, struct sock *sk, struct owner *owner, const struct netns *netns)
{
	__u32 failure = failure_of(sk);
	struct record *record;
	struct tcp_sock *tp;

	count(netns->id, METRIC_TCPLIFE_FAILED, failure, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	record = begin(sk, netns, VARIANT_CONNECT_FAILED, 0);
	if (!record)
		return;
	record->flags |= RECORD_CLIENT;
	record->side = SIDE_OUT;
	record->code = failure;
	if (owner && owner->life == LIFE_CLIENT)
		record->v[1] = since(owner, now_us());
	record->v[2] = tp->total_retrans;
	emit_end(ctx, record);
}

static __always_inline __u32 ending_of(int oldstate, int error)
{
	bool open = oldstate == TCP_ESTABLISHED || oldstate == TCP_CLOSE_WAIT;

	switch (error) {
	case 0:
		if (open)
			return ENDING_RESET_SENT;
		return oldstate == TCP_LAST_ACK ? ENDING_FAR_FIN : ENDING_LOCAL_FIN;
	case ECONNRESET:
	case EPIPE:
		return open || oldstate == TCP_LAST_ACK ? ENDING_RESET_RECEIVED : ENDING_RESET_AFTER_CLOSE;
	case ETIMEDOUT:
		return ENDING_TIMED_OUT;
	default:
		return ENDING_ERROR;
	}
}

static __always_inline bool remarkable(__u32 ending, const struct tcp_sock *tp)
{
	__u64 per_mille = tcplife_thresholds.retransmitted_per_mille;
	__u64 retransmitted = tp->total_retrans;

	if (ending == ENDING_TIMED_OUT || ending == ENDING_ERROR)
		return true;
	return retransmitted >= tcplife_thresholds.retransmitted_segments && retransmitted * 1000 >= per_mille * tp->segs_out;
}

/* TCP counts a SYN and a FIN as a byte each when they are acknowledged; the application has not sent these. */
static __always_inline __u64 bytes_sent(const struct tcp_sock *tp, int oldstate, int error, __u32 life)
{
	bool fin = oldstate == TCP_FIN_WAIT2 || ((oldstate == TCP_LAST_ACK || oldstate == TCP_CLOSING) && !error);
	__u64 more = (life & LIFE_CLIENT ? 1 : 0) + fin;

	return tp->bytes_acked > more ? tp->bytes_acked - more : 0;
}

static __always_inline __u64 bytes_received(const struct sock *sk, const struct tcp_sock *tp)
{
	__u64 fin = sk->__sk_common.skc_flags >> SOCK_DONE & 1;

	return tp->bytes_received > fin ? tp->bytes_received - fin : 0;
}

static __always_inline void closed(void *ctx, struct sock *sk, struct owner *owner, int oldstate, const struct netns *netns)
{
	__u32 life = owner ? owner->life : 0;
	__u64 sent, received;
	int error = sk->sk_err;
	__u32 ending = ending_of(oldstate, error);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct record *record;

	count(netns->id, METRIC_TCPLIFE_CLOSED, ending, 0);
	if (!tp)
		return;
	sent = bytes_sent(tp, oldstate, error, life);
	received = bytes_received(sk, tp);
	if (sent)
		count_add(netns->id, METRIC_TCPLIFE_BYTES, DIRECTION_SENT, 0, sent);
	if (received)
		count_add(netns->id, METRIC_TCPLIFE_BYTES, DIRECTION_RECEIVED, 0, received);
	if (!remarkable(ending, tp))
		return;
	record = begin(sk, netns, VARIANT_CLOSED, 1);
	if (!record)
		return;
	if (life & LIFE_CLIENT)
		record->flags |= RECORD_CLIENT;
	else if (life & LIFE_SERVER)
		record->flags |= RECORD_SERVER;
	record->code = ending;
	/* A packet or a timer ended it, and TCP has looked at the clock. Only an abort may come after a long silence. */
	if (life & LIFE_ESTABLISHED)
		record->x[X_DURATION_US] = since(owner, ending == ENDING_RESET_SENT ? now_us() : tp->tcp_mstamp);
	record->v[1] = tp->srtt_us >> 3;
	record->x[X_BYTES_SENT] = sent;
	record->x[X_BYTES_RECEIVED] = received;
	record->x[X_SEGMENTS_SENT] = tp->segs_out;
	record->x[X_SEGMENTS_RECEIVED] = tp->segs_in;
	record->x[X_SEGMENTS_RETRANSMITTED] = tp->total_retrans;
	record->x[X_ERRNO] = error;
	emit_end(ctx, record);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcplife_state, struct sock *sk, int oldstate, int newstate)
{
	struct netns netns;
	struct owner *owner;

	/* A connection passes through about five changes; two or three matter. */
	if (newstate != TCP_ESTABLISHED && newstate != TCP_CLOSE && newstate != TCP_SYN_SENT)
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	netns = netns_of_sock(sk);
	if (!netns_wanted(PROBE_TCPLIFE, netns.id))
		return 0;
	if (newstate == TCP_SYN_SENT) {
		connecting(sk);
		return 0;
	}
	if (newstate == TCP_ESTABLISHED) {
		established(ctx, sk, &netns);
		return 0;
	}
	owner = bpf_sk_storage_get(&owners, sk, 0, 0);
	switch (oldstate) {
	case TCP_SYN_SENT:
		not_connected(ctx, sk, owner, &netns);
		break;
	case TCP_SYN_RECV:
		/* Both ends connected at once. Of a server's connection that was never established the client knows more. */
		if (owner && owner->life == LIFE_CLIENT)
			not_connected(ctx, sk, owner, &netns);
		break;
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		closed(ctx, sk, owner, oldstate, &netns);
		break;
	}
	/* The socket may go on as another connection's, or listen: accepted connections would inherit this. */
	if (owner)
		owner->life = 0;
	return 0;
}
