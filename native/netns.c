/* SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"
#include "arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREAD_STACK_BYTES (256 << 10)

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct visit {
	int fd;
	netns_work work;
	void *data;
	const char *step;
	int err;
};

static void *enter(void *data)
{
	struct visit *visit = data;

	visit->step = "enter";
	if (setns(visit->fd, CLONE_NEWNET) != 0)
		visit->err = errno;
	else
		visit->err = visit->work(visit->data, &visit->step);
	return NULL;
}

static int run_thread(struct visit *visit)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int err = pthread_attr_init(&attributes);

	if (err)
		return err;
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attributes, enter, visit);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (err)
		return err;
	pthread_join(thread, NULL);
	return visit->err;
}

int netns_run(const char *path, netns_work work, void *data, const char **step)
{
	struct visit visit = { .work = work, .data = data, .step = "start a thread for" };
	int err;

	/* Not blocking: a FIFO at this path is refused by setns instead of waited for. */
	visit.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (visit.fd < 0) {
		*step = "open";
		return errno;
	}
	err = run_thread(&visit);
	*step = visit.step;
	close(visit.fd);
	return err;
}

static int read_cookie(void *data, const char **step)
{
	socklen_t size = sizeof(uint64_t);
	int err = 0, fd;

	*step = "open a socket in";
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	*step = "read SO_NETNS_COOKIE of";
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, data, &size) != 0)
		err = errno;
	close(fd);
	return err;
}

napi_value native_netns_cookie(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	uint64_t cookie = 0;
	char path[PATH_MAX];
	const char *step;
	napi_value value;
	int err;

	if (!arguments_read(&arguments, env, info, "netnsCookie") ||
	    !argument_string(&arguments, 0, "netnsPath", path, sizeof(path)))
		return NULL;
	err = netns_run(path, read_cookie, &cookie, &step);
	if (err)
		return fail(env, "NATIVE_NETNS", err, "Cannot %s network namespace %s", step, path);
	TRY(napi_create_bigint_uint64(env, cookie, &value));
	return value;
}
