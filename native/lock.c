/* SPDX-License-Identifier: Apache-2.0 */
/* Exclusive locks on files (flock(2)): gone with the process, however it ends. */
#include "arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct lock {
	int fd;	       /* -1: closed */
	napi_ref self; /* strong until close: a lock is never lost by being collected */
};

static const napi_type_tag lock_tag = { 0x51c9e6f07ab2483d, 0x8e04d7b35f6ca219 };

static void on_collected(napi_env env, void *data, void *hint)
{
	struct lock *lock = data;

	(void)env;
	(void)hint;
	if (lock->fd >= 0)
		close(lock->fd);
	free(lock);
}

static napi_value lock_close(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct lock *lock;

	if (!arguments_read(&arguments, env, info, "close"))
		return NULL;
	lock = argument_self(&arguments, &lock_tag, "lock");
	if (!lock)
		return NULL;
	if (lock->fd >= 0) {
		close(lock->fd);
		lock->fd = -1;
		napi_delete_reference(env, lock->self);
	}
	return undefined(env);
}

static napi_value wrap(napi_env env, int fd)
{
	napi_property_descriptor method = { .utf8name = "close", .method = lock_close,
					    .attributes = napi_enumerable };
	struct lock *lock = malloc(sizeof(*lock));
	napi_value self;

	if (!lock) {
		close(fd);
		return fail(env, "NATIVE_LOCK", ENOMEM, "Memory for a lock");
	}
	lock->fd = fd;
	if (napi_create_object(env, &self) != napi_ok ||
	    napi_define_properties(env, self, 1, &method) != napi_ok ||
	    napi_type_tag_object(env, self, &lock_tag) != napi_ok ||
	    napi_wrap(env, self, lock, on_collected, NULL, NULL) != napi_ok) {
		on_collected(env, lock, NULL);
		return fail_node_api(env);
	}
	TRY(napi_create_reference(env, self, 1, &lock->self));
	return self;
}

napi_value native_lock_file(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	char path[PATH_MAX];
	int fd, err;

	if (!arguments_read(&arguments, env, info, "lockFile") ||
	    !argument_string(&arguments, 0, "path", path, sizeof(path)))
		return NULL;
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return fail(env, "NATIVE_LOCK", errno, "Cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return wrap(env, fd);
	err = errno;
	close(fd);
	if (err == EWOULDBLOCK)
		return undefined(env);
	return fail(env, "NATIVE_LOCK", err, "Cannot lock %s", path);
}
