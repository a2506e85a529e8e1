/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of records, end to end, as a source. Where no record can begin, 64 bytes are skipped and
 * counted: lengths are multiples of 64, so reading finds its way back.
 */
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536

struct replay {
	struct source source;
	int fd;
	bool at_end;
	size_t begin, end; /* bytes[begin..end) is not taken yet */
	uint8_t bytes[READ_BYTES];
};

/* Reads on behind what is left of the last read. */
static int refill(struct replay *replay)
{
	ssize_t got;

	memmove(replay->bytes, replay->bytes + replay->begin, replay->end - replay->begin);
	replay->end -= replay->begin;
	replay->begin = 0;
	do {
		got = read(replay->fd, replay->bytes + replay->end, sizeof(replay->bytes) - replay->end);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno;
	replay->end += (size_t)got;
	replay->at_end = got == 0;
	return 0;
}

/* Length of the record at begin, 0 when there cannot be one. */
static size_t length_at(const struct replay *replay)
{
	size_t length = replay->bytes[replay->begin + RECORD_LEN_OFFSET] * (size_t)RECORD_UNIT_BYTES;

	return length >= RECORD_MIN_BYTES && length <= RECORD_MAX_BYTES ? length : 0;
}

/* Takes the whole records that were read. False when no chunk was free. */
static bool take(struct replay *replay, struct reader *reader)
{
	while (replay->end - replay->begin >= RECORD_UNIT_BYTES) {
		size_t length = length_at(replay);

		if (length == 0) {
			reader_count_malformed(reader);
			replay->begin += RECORD_UNIT_BYTES;
			continue;
		}
		if (replay->end - replay->begin < length)
			break;
		if (!reader_put(reader, replay->bytes + replay->begin, length))
			return false;
		replay->begin += length;
	}
	return true;
}

static enum drained replay_drain(struct source *source, struct reader *reader, bool last)
{
	struct replay *replay = (struct replay *)source;

	if (last)
		return DRAINED_END;
	if (!take(replay, reader))
		return DRAINED_FULL;
	if (replay->at_end) {
		if (replay->begin < replay->end)
			reader_count_malformed(reader);
		return DRAINED_END;
	}
	source->err = refill(replay);
	return source->err ? DRAINED_END : DRAINED_MORE;
}

static uint64_t replay_waiting(struct source *source)
{
	(void)source;
	return 0;
}

static void replay_free(struct source *source)
{
	struct replay *replay = (struct replay *)source;

	close(replay->fd);
	free(replay);
}

static struct source *replay_open(const char *path)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	struct stat status;
	int err;

	if (!replay)
		return NULL;
	replay->source = (struct source){ .drain = replay_drain, .waiting = replay_waiting, .free = replay_free };
	/* Not blocking: a FIFO is refused below instead of waited for. */
	replay->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (replay->fd >= 0 && fstat(replay->fd, &status) == 0) {
		if (S_ISREG(status.st_mode))
			return &replay->source;
		errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
	}
	err = errno;
	if (replay->fd >= 0)
		close(replay->fd);
	free(replay);
	errno = err;
	return NULL;
}

napi_value native_start_replay(napi_env env, napi_callback_info info)
{
	struct reader_options options;
	struct arguments arguments;
	struct source *source;
	char path[PATH_MAX];

	if (!arguments_read(&arguments, env, info, "startReplay") ||
	    !argument_string(&arguments, 0, "path", path, sizeof(path)) ||
	    !reader_options_read(&arguments, 1, &options) || !argument_function(&arguments, 2, "onChunk"))
		return NULL;
	source = replay_open(path);
	if (!source)
		return fail(env, "NATIVE_REPLAY", errno, "Cannot read %s", path);
	return reader_start(env, path, &options, source, arguments.values[2], NULL);
}
