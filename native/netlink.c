/* SPDX-License-Identifier: Apache-2.0 */
/* One netlink request in a namespace, and all of its answer (Documentation/userspace-api/netlink). */
#include "netns.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES (16 << 20)
#define RECEIVE_TIMEOUT_S 2
/* The kernel makes dump messages of at most 32 KiB. */
#define DATAGRAM_MAX_BYTES (64 << 10)
/* A dump during which the kernel's table changed is read again so many times. */
#define ATTEMPTS 3

struct exchange {
	int protocol;
	struct bytes request;
	uint8_t *answer;
	size_t used, room;
	bool interrupted; /* NLM_F_DUMP_INTR: the table changed while it was read */
	bool done;
};

static int keep(struct exchange *exchange, const struct nlmsghdr *message)
{
	size_t size = NLMSG_ALIGN(message->nlmsg_len);

	if (exchange->used + size > ANSWER_MAX_BYTES)
		return EFBIG;
	if (exchange->used + size > exchange->room) {
		size_t room = exchange->room ? exchange->room * 2 : DATAGRAM_MAX_BYTES;
		uint8_t *larger = realloc(exchange->answer, room);

		if (!larger)
			return ENOMEM;
		exchange->answer = larger;
		exchange->room = room;
	}
	memset(exchange->answer + exchange->used, 0, size);
	memcpy(exchange->answer + exchange->used, message, message->nlmsg_len);
	exchange->used += size;
	return 0;
}

/* The status in NLMSG_DONE and NLMSG_ERROR: 0 or a negative errno. */
static int status_of(const struct nlmsghdr *message)
{
	int status = 0;

	if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(status)))
		memcpy(&status, NLMSG_DATA(message), sizeof(status));
	return status < 0 ? -status : 0;
}

static int take(struct exchange *exchange, const struct nlmsghdr *message)
{
	const struct nlmsghdr *request = exchange->request.data;

	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		exchange->interrupted = true;
	if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
		exchange->done = true;
		return status_of(message);
	}
	if (message->nlmsg_type == NLMSG_NOOP)
		return 0;
	/* A single answer, unless an acknowledgement was asked for. */
	exchange->done = !(message->nlmsg_flags & NLM_F_MULTI) && !(request->nlmsg_flags & NLM_F_ACK);
	return keep(exchange, message);
}

static int receive(struct exchange *exchange, int fd, uint8_t *datagram)
{
	struct sockaddr_nl from;
	struct iovec vector = { .iov_base = datagram, .iov_len = DATAGRAM_MAX_BYTES };
	struct msghdr header = { .msg_name = &from, .msg_iov = &vector, .msg_iovlen = 1 };
	const struct nlmsghdr *message = (const struct nlmsghdr *)datagram;
	ssize_t got;
	size_t left;

	header.msg_namelen = sizeof(from);
	do {
		got = recvmsg(fd, &header, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? ETIMEDOUT : errno;
	if (header.msg_flags & MSG_TRUNC)
		return EMSGSIZE;
	/* Only the kernel is listened to. */
	if (header.msg_namelen != sizeof(from) || from.nl_pid != 0)
		return 0;
	left = (size_t)got;
	while (left >= sizeof(*message) && !exchange->done) {
		size_t size = message->nlmsg_len;
		int err;

		if (size < sizeof(*message) || size > left)
			return EBADMSG;
		err = take(exchange, message);
		if (err)
			return err;
		size = NLMSG_ALIGN(size);
		if (size >= left)
			break;
		left -= size;
		message = (const struct nlmsghdr *)((const uint8_t *)message + size);
	}
	return 0;
}

static int ask(struct exchange *exchange, uint8_t *datagram, const char **step)
{
	struct timeval timeout = { .tv_sec = RECEIVE_TIMEOUT_S };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int err = 0, fd;

	*step = "open a netlink socket in";
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, exchange->protocol);
	if (fd < 0)
		return errno;
	*step = "send a netlink request in";
	exchange->used = 0;
	exchange->done = exchange->interrupted = false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (sendto(fd, exchange->request.data, exchange->request.size, 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0) {
		err = errno;
	} else {
		*step = "read the netlink answer of";
		while (!err && !exchange->done)
			err = receive(exchange, fd, datagram);
	}
	close(fd);
	return err;
}

static int exchange_in_namespace(void *data, int proc_net_fd, const char **step)
{
	struct exchange *exchange = data;
	uint8_t *datagram = malloc(DATAGRAM_MAX_BYTES);
	int err = ENOMEM;

	(void)proc_net_fd;
	*step = "receive in";
	for (int attempt = 0; datagram && attempt < ATTEMPTS; attempt++) {
		err = ask(exchange, datagram, step);
		if (err || !exchange->interrupted)
			break;
		err = EINTR;
	}
	free(datagram);
	return err;
}

/* Copies the request, because the caller's bytes may lie at any address. False with an exception pending. */
static bool read_request(const struct arguments *arguments, size_t index, struct exchange *exchange)
{
	const struct nlmsghdr *message;
	struct bytes bytes;
	void *copy;

	if (!argument_bytes(arguments, index, "request", &bytes))
		return false;
	copy = malloc(bytes.size + 1);
	if (!copy) {
		fail(arguments->env, "NATIVE_NETNS", ENOMEM, "Copy of a netlink request");
		return false;
	}
	message = memcpy(copy, bytes.data, bytes.size);
	exchange->request = (struct bytes){ .data = copy, .size = bytes.size };
	if (bytes.size >= sizeof(*message) && message->nlmsg_len == bytes.size)
		return true;
	free(copy);
	fail(arguments->env, "NATIVE_ARGUMENT", 0,
	     "%s: request must be one message whose nlmsg_len is its %zu bytes", arguments->function, bytes.size);
	return false;
}

napi_value netlink_dump(const struct arguments *arguments, size_t index, const struct netns_place *place)
{
	struct exchange exchange = { 0 };
	napi_env env = arguments->env;
	const char *step;
	napi_value answer;
	uint32_t protocol;
	int err;

	if (!argument_u32(arguments, index, "protocol", 0, MAX_LINKS - 1, &protocol) ||
	    !read_request(arguments, index + 1, &exchange))
		return NULL;
	exchange.protocol = (int)protocol;
	err = place->fd < 0 ? netns_visit_path(place->path, exchange_in_namespace, &exchange, &step)
			    : netns_visit(place->fd, exchange_in_namespace, &exchange, &step);
	answer = err ? fail(env, "NATIVE_NETNS", err, "Cannot %s network namespace %s", step, place->path)
		     : buffer_copy(env, exchange.answer, exchange.used);
	free(exchange.request.data);
	free(exchange.answer);
	return answer;
}

napi_value native_netlink_dump(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	char path[PATH_MAX];
	struct netns_place place = { .fd = -1, .path = path };

	if (!arguments_read(&arguments, env, info, "netlinkDump") ||
	    !argument_string(&arguments, 0, "netnsPath", path, sizeof(path)))
		return NULL;
	return netlink_dump(&arguments, 1, &place);
}
