/* SPDX-License-Identifier: Apache-2.0 */
/* NetnsHandle: a network namespace that is held open by a descriptor. */
#include "netns.h"
#include "proc-net.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct handle {
	int fd; /* -1: closed */
	struct kept_files kept;
	char path[];
};

static const napi_type_tag handle_tag = { 0x2f8b61d4c3ea4975, 0xb19d70e5a8f32c46 };

static void handle_close(struct handle *handle)
{
	if (handle->fd >= 0)
		close(handle->fd);
	handle->fd = -1;
	kept_files_close(&handle->kept);
}

static void on_collected(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	handle_close(data);
	free(data);
}

/* Reads arguments and the open handle they are for. NULL with an exception pending. */
static struct handle *handle_read(struct arguments *arguments, napi_env env, napi_callback_info info, const char *function,
				  struct netns_place *place)
{
	struct handle *handle;

	if (!arguments_read(arguments, env, info, function))
		return NULL;
	handle = argument_self(arguments, &handle_tag, "NetnsHandle");
	if (!handle)
		return NULL;
	*place = (struct netns_place){ .fd = handle->fd, .path = handle->path };
	if (handle->fd >= 0)
		return handle;
	fail(env, "NATIVE_ARGUMENT", EBADF, "%s: the handle of network namespace %s is closed", function, handle->path);
	return NULL;
}

static napi_value handle_read_proc_net(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct netns_place place;
	struct handle *handle = handle_read(&arguments, env, info, "readProcNet", &place);

	return handle ? proc_net_read(&arguments, 0, &place, &handle->kept) : NULL;
}

static napi_value handle_dump(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct netns_place place;

	if (!handle_read(&arguments, env, info, "dump", &place))
		return NULL;
	return netlink_dump(&arguments, 0, &place);
}

static napi_value handle_close_method(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct handle *handle;

	if (!arguments_read(&arguments, env, info, "close"))
		return NULL;
	handle = argument_self(&arguments, &handle_tag, "NetnsHandle");
	if (!handle)
		return NULL;
	handle_close(handle);
	return undefined(env);
}

#define METHOD(name, function) { .utf8name = name, .method = function, .attributes = napi_enumerable }

/* The NetnsHandle. Owns the descriptor from here on, also on failure. */
static napi_value wrap(napi_env env, int fd, const char *path, double inode, double cookie)
{
	static const napi_property_descriptor methods[] = {
		METHOD("readProcNet", handle_read_proc_net),
		METHOD("dump", handle_dump),
		METHOD("close", handle_close_method),
	};
	struct handle *handle = malloc(sizeof(*handle) + strlen(path) + 1);
	napi_value self;

	if (!handle) {
		close(fd);
		return fail(env, "NATIVE_NETNS", ENOMEM, "Memory for the handle of network namespace %s", path);
	}
	handle->fd = fd;
	handle->kept = (struct kept_files){ 0 };
	strcpy(handle->path, path);
	if (napi_create_object(env, &self) != napi_ok ||
	    napi_define_properties(env, self, ARRAY_SIZE(methods), methods) != napi_ok ||
	    napi_type_tag_object(env, self, &handle_tag) != napi_ok ||
	    napi_wrap(env, self, handle, on_collected, NULL, NULL) != napi_ok) {
		on_collected(env, handle, NULL);
		return fail_node_api(env);
	}
	set_number(env, self, "inode", inode);
	set_number(env, self, "cookie", cookie);
	return self;
}

napi_value native_open_netns(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	const char *step = "open";
	struct stat status = { 0 };
	char path[PATH_MAX];
	uint64_t cookie = 0;
	int err, fd;

	if (!arguments_read(&arguments, env, info, "openNetns") ||
	    !argument_string(&arguments, 0, "path", path, sizeof(path)))
		return NULL;
	err = netns_open(path, &fd);
	if (!err && fstat(fd, &status) != 0)
		err = errno;
	if (!err) {
		err = netns_visit(fd, netns_read_cookie, &cookie, &step);
		if (err == ENOPROTOOPT) {
			cookie = status.st_ino;
			err = 0;
		}
	}
	if (!err)
		return wrap(env, fd, path, (double)status.st_ino, (double)cookie);
	if (fd >= 0)
		close(fd);
	return fail(env, "NATIVE_NETNS", err, "Cannot %s network namespace %s", step, path);
}
