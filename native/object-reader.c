/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of an object's ring buffers and perf buffers. */
#include "object.h"
#include "perf.h"
#include "ring.h"

#include <errno.h>

/* The map of a reader's source, when it is of the kind and has no reader; NULL with an exception pending. */
static struct bpf_map *source_map(struct object *object, const struct arguments *arguments,
				  struct reader_options *options, enum bpf_map_type type, const char *kind)
{
	struct bpf_map *map = object_loaded_map(object, arguments);

	if (!map || !reader_options_read(arguments, 1, options) || !argument_function(arguments, 2, "onChunk"))
		return NULL;
	if (bpf_map__type(map) != type) {
		fail(arguments->env, "NATIVE_READER", 0, "Map %s of %s is no %s", bpf_map__name(map), object->owner, kind);
		return NULL;
	}
	if (reader_list_has(&object->readers, bpf_map__name(map))) {
		fail(arguments->env, "NATIVE_READER", EBUSY, "Map %s of %s has a reader already", bpf_map__name(map),
		     object->owner);
		return NULL;
	}
	return map;
}

napi_value object_start_reader(napi_env env, napi_callback_info info)
{
	struct reader_options options;
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "startReader");
	struct source *source;
	struct bpf_map *map;

	if (!object)
		return NULL;
	map = source_map(object, &arguments, &options, BPF_MAP_TYPE_RINGBUF, "ring buffer");
	if (!map)
		return NULL;
	source = ring_open(bpf_map__fd(map), bpf_map__max_entries(map));
	if (!source)
		return fail(env, "NATIVE_READER", errno, "Cannot map ring %s of %s", bpf_map__name(map),
			    object->owner);
	return reader_start(env, bpf_map__name(map), &options, source, arguments.values[2],
			    &object->readers);
}

napi_value object_start_perf_reader(napi_env env, napi_callback_info info)
{
	struct reader_options options;
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "startPerfReader");
	struct source *source;
	struct bpf_map *map;
	uint32_t cpu_bytes;

	if (!object)
		return NULL;
	map = source_map(object, &arguments, &options, BPF_MAP_TYPE_PERF_EVENT_ARRAY, "array of perf events");
	if (!map || !argument_option(&arguments, 1, "cpuBytes", PERF_CPU_MIN_BYTES, 1U << 30, &cpu_bytes))
		return NULL;
	if ((cpu_bytes & (cpu_bytes - 1)) != 0)
		return fail(env, "NATIVE_ARGUMENT", 0, "startPerfReader: cpuBytes must be a power of two, found %u", cpu_bytes);
	source = perf_open(bpf_map__fd(map), bpf_map__max_entries(map), cpu_bytes);
	if (!source)
		return fail(env, "NATIVE_READER", errno, "Cannot open the perf buffers of %s of %s, %u bytes for each CPU",
			    bpf_map__name(map), object->owner, cpu_bytes);
	return reader_start(env, bpf_map__name(map), &options, source, arguments.values[2], &object->readers);
}
