/* SPDX-License-Identifier: Apache-2.0 */
/* Running programs from here: iterators to their end, others once. */
#include "object.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ITERATOR_MAX_BYTES (16 << 20)

/* Reads to the end; *out is to be freed. Returns 0 or errno; EFBIG beyond the limit. */
static int read_all(int fd, char **out, size_t *size)
{
	size_t room = 1 << 16, used = 0;
	char *bytes = malloc(room);

	if (!bytes)
		return ENOMEM;
	for (;;) {
		ssize_t got;

		if (used == room) {
			char *larger = room < ITERATOR_MAX_BYTES ? realloc(bytes, room * 2) : NULL;

			if (!larger) {
				free(bytes);
				return room < ITERATOR_MAX_BYTES ? ENOMEM : EFBIG;
			}
			bytes = larger;
			room *= 2;
		}
		got = read(fd, bytes + used, room - used);
		if (got == 0)
			break;
		/* EAGAIN: the iterator gave way after many objects without output. */
		if (got < 0 && errno != EINTR && errno != EAGAIN) {
			int err = errno;

			free(bytes);
			return err;
		}
		if (got > 0)
			used += (size_t)got;
	}
	*out = bytes;
	*size = used;
	return 0;
}

napi_value object_iterate(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "iterate");
	struct bpf_link *link = NULL;
	struct program *program;
	char *bytes = NULL;
	napi_value buffer;
	size_t size = 0;
	int fd, err;

	if (!object)
		return NULL;
	program = object_program(object, &arguments);
	if (!program)
		return NULL;
	link = bpf_program__attach_iter(program->program, NULL);
	if (!link)
		return fail(env, "NATIVE_RUN", errno, "Cannot attach iterator %s of %s",
			    bpf_program__name(program->program), object->owner);
	fd = bpf_iter_create(bpf_link__fd(link));
	err = fd < 0 ? -fd : read_all(fd, &bytes, &size);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	if (err)
		return fail(env, "NATIVE_RUN", err, "Cannot read iterator %s of %s",
			    bpf_program__name(program->program), object->owner);
	buffer = buffer_copy(env, bytes, size);
	free(bytes);
	return buffer;
}

napi_value object_test_run(napi_env env, napi_callback_info info)
{
	struct bpf_test_run_opts options = { .sz = sizeof(options) };
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "testRun");
	struct program *program;
	struct bytes context;
	napi_value value;
	int err;

	if (!object)
		return NULL;
	program = object_program(object, &arguments);
	if (!program || !argument_bytes(&arguments, 1, "ctx", &context))
		return NULL;
	if (context.size > 0) {
		options.ctx_in = context.data;
		options.ctx_size_in = (__u32)context.size;
	}
	err = bpf_prog_test_run_opts(bpf_program__fd(program->program), &options);
	if (err)
		return fail(env, "NATIVE_RUN", err, "Cannot run %s of %s",
			    bpf_program__name(program->program), object->owner);
	TRY(napi_create_int32(env, (int32_t)options.retval, &value));
	return value;
}
