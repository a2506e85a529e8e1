/* SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

int netns_open(const char *path, int *fd)
{
	/* Not blocking: a FIFO at this path is refused instead of waited for. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return errno;
	/* Other files know no such request. */
	if (ioctl(*fd, NS_GET_NSTYPE) == CLONE_NEWNET)
		return 0;
	close(*fd);
	*fd = -1;
	return EINVAL;
}

int netns_visit_path(const char *path, netns_work work, void *data, const char **step)
{
	int fd, err = netns_open(path, &fd);

	if (err) {
		*step = "open";
		return err;
	}
	err = netns_visit(fd, work, data, step);
	close(fd);
	return err;
}

int netns_read_cookie(void *data, int proc_net_fd, const char **step)
{
	socklen_t size = sizeof(uint64_t);
	int err = 0, fd;

	(void)proc_net_fd;
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
	err = netns_visit_path(path, netns_read_cookie, &cookie, &step);
	if (err)
		return fail(env, "NATIVE_NETNS", err, "Cannot %s network namespace %s", step, path);
	TRY(napi_create_bigint_uint64(env, cookie, &value));
	return value;
}
