/* SPDX-License-Identifier: Apache-2.0 */
#include "proc-net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FILES 64
#define FILE_MAX_BYTES (4 << 20)
/* Room for one more read; all but tables fit. */
#define READ_BYTES (64 << 10)
/* What is kept between calls. */
#define KEPT_BYTES (1 << 20)

struct file {
	char name[NAME_SIZE];
	size_t at; /* in the buffer */
	size_t size;
	bool absent;
	bool done;
};

/* The contents of all files of a call. */
struct buffer {
	size_t room;
	uint8_t bytes[];
};

struct reading {
	struct file files[MOST_FILES];
	size_t count;
	struct buffer *buffer;
	size_t used;
	const char *failed; /* name of the file */
	struct kept_files *kept;
	bool keep;
};

/* A buffer that no call uses now. */
static _Atomic(struct buffer *) spare;

static void buffer_give_back(struct buffer *buffer)
{
	if (buffer && buffer->room <= KEPT_BYTES)
		buffer = atomic_exchange(&spare, buffer);
	free(buffer);
}

static int make_room(struct reading *reading)
{
	size_t room = reading->buffer ? reading->buffer->room * 2 : READ_BYTES * 2;
	struct buffer *larger;

	if (reading->buffer && reading->buffer->room - reading->used >= READ_BYTES)
		return 0;
	larger = realloc(reading->buffer, sizeof(*larger) + room);
	if (!larger)
		return ENOMEM;
	larger->room = room;
	reading->buffer = larger;
	return 0;
}

/* From the beginning, wherever an earlier read of the descriptor has left it. */
static int read_all(struct reading *reading, struct file *file, int fd)
{
	ssize_t got;

	file->at = reading->used;
	file->size = 0;
	do {
		int err = file->size > FILE_MAX_BYTES ? EFBIG : make_room(reading);

		if (err)
			return err;
		do {
			got = pread(fd, reading->buffer->bytes + reading->used, READ_BYTES, (off_t)file->size);
		} while (got < 0 && errno == EINTR);
		if (got < 0)
			return errno;
		reading->used += (size_t)got;
		file->size += (size_t)got;
	} while (got > 0);
	return 0;
}

/* The files that are open; one that cannot be read any longer is opened anew. */
static bool read_kept(struct reading *reading)
{
	bool all = true;

	for (size_t i = 0; i < reading->count; i++) {
		struct file *file = &reading->files[i];
		int fd = kept_files_find(reading->kept, file->name);

		file->done = fd >= 0 && read_all(reading, file, fd) == 0;
		if (fd >= 0 && !file->done) {
			reading->used = file->at;
			kept_files_drop(reading->kept, file->name);
		}
		all = all && file->done;
	}
	return all;
}

/* Those that are not. */
static int read_files(void *data, int proc_net_fd, const char **step)
{
	struct reading *reading = data;

	*step = "read /proc/net of";
	for (size_t i = 0; i < reading->count; i++) {
		struct file *file = &reading->files[i];
		int err, fd;

		if (file->done)
			continue;
		fd = openat(proc_net_fd, file->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		reading->failed = file->name;
		if (fd < 0) {
			file->absent = errno == ENOENT || errno == ENOTDIR;
			if (!file->absent)
				return errno;
			continue;
		}
		err = read_all(reading, file, fd);
		if (err || !reading->keep || !kept_files_add(reading->kept, file->name, fd))
			close(fd);
		if (err)
			return err;
	}
	return 0;
}

/* Inside /proc/net: relative, without a way up. */
static bool stays_inside(const char *name)
{
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (*part == '\0' || *part == '/' || (part[0] == '.' && part[1] == '.' && (part[2] == '/' || !part[2])))
			return false;
	}
	return name[0] != '/';
}

static bool read_names(const struct arguments *arguments, size_t index, struct reading *reading)
{
	napi_env env = arguments->env;
	napi_value list = arguments->values[index];
	bool is_array = false;
	uint32_t length;

	if (napi_is_array(env, list, &is_array) != napi_ok || !is_array ||
	    napi_get_array_length(env, list, &length) != napi_ok || length > MOST_FILES) {
		fail(env, "NATIVE_ARGUMENT", 0, "%s: names must be an array of at most %d strings",
		     arguments->function, MOST_FILES);
		return false;
	}
	for (uint32_t i = 0; i < length; i++) {
		struct file *file = &reading->files[i];
		size_t size = 0;
		napi_value name;

		file->size = 0;
		file->absent = false;
		file->done = false;
		if (napi_get_element(env, list, i, &name) != napi_ok ||
		    napi_get_value_string_utf8(env, name, file->name, sizeof(file->name), &size) != napi_ok ||
		    size == sizeof(file->name) - 1 || strlen(file->name) != size || !stays_inside(file->name)) {
			fail(env, "NATIVE_ARGUMENT", 0,
			     "%s: names[%u] must be the name of a file below /proc/net, such as snmp", arguments->function, i);
			return false;
		}
	}
	reading->count = length;
	return true;
}

static napi_value contents(napi_env env, const struct reading *reading)
{
	napi_value list;

	TRY(napi_create_array_with_length(env, reading->count, &list));
	for (size_t i = 0; i < reading->count; i++) {
		const struct file *file = &reading->files[i];
		napi_value value = file->absent ? undefined(env)
						: buffer_copy(env, reading->buffer->bytes + file->at, file->size);

		if (!value)
			return NULL;
		TRY(napi_set_element(env, list, (uint32_t)i, value));
	}
	return list;
}

napi_value proc_net_read(const struct arguments *arguments, size_t index, const struct netns_place *place,
			 struct kept_files *kept)
{
	napi_env env = arguments->env;
	struct reading reading = { .kept = kept };
	const char *step;
	napi_value list;
	int err = 0;

	if (!read_names(arguments, index, &reading) ||
	    (arguments->count > index + 1 && !argument_bool(arguments, index + 1, "keepOpen", &reading.keep)))
		return NULL;
	reading.failed = "";
	reading.buffer = atomic_exchange(&spare, NULL);
	if (!read_kept(&reading))
		err = netns_visit(place->fd, read_files, &reading, &step);
	list = err ? fail(env, "NATIVE_NETNS", err, "Cannot %s network namespace %s: %s", step, place->path, reading.failed)
		   : contents(env, &reading);
	buffer_give_back(reading.buffer);
	return list;
}
