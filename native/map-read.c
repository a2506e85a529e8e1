/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All entries of a map. The kernel hands out a hash map bucket by bucket, each under its lock, so an
 * entry that is there all the time is seen exactly once, whatever is added or deleted meanwhile.
 * Kernels without batches for the map's type (5.6, per-CPU arrays 5.13) are walked key by key.
 */
#include "map-value.h"
#include "object.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BATCH 256

struct entries {
	struct bpf_map *map;
	size_t key_size, value_size, slots_size;
	uint8_t *bytes;
	size_t used, room;
};

static int add(struct entries *entries, const void *key, void *slots)
{
	size_t size = entries->key_size + entries->value_size;

	if (entries->used + size > entries->room) {
		size_t room = entries->room ? entries->room * 2 : FIRST_BATCH * size;
		uint8_t *larger = realloc(entries->bytes, room);

		if (!larger)
			return -ENOMEM;
		entries->bytes = larger;
		entries->room = room;
	}
	map_value_sum(entries->map, slots);
	memcpy(entries->bytes + entries->used, key, entries->key_size);
	memcpy(entries->bytes + entries->used + entries->key_size, slots, entries->value_size);
	entries->used += size;
	return 0;
}

/* Buffers of one batch: keys, values, and where the kernel goes on. */
struct batch {
	uint32_t size;
	uint8_t *keys, *slots, *position;
};

static int batch_resize(struct batch *batch, const struct entries *entries, uint32_t size)
{
	free(batch->keys);
	free(batch->slots);
	batch->size = size;
	batch->keys = malloc(size * entries->key_size);
	batch->slots = malloc(size * entries->slots_size);
	return batch->keys && batch->slots ? 0 : -ENOMEM;
}

static int read_batches(struct entries *entries)
{
	/* The kernel writes a u32 for hash maps, a key for others. */
	size_t position_size = entries->key_size > 4 ? entries->key_size : 4;
	struct batch batch = { .position = malloc(position_size) };
	int err = batch.position ? batch_resize(&batch, entries, FIRST_BATCH) : -ENOMEM;
	bool first = true;

	while (!err || err == -ENOSPC) {
		uint32_t count = batch.size;

		if (err == -ENOSPC) {
			/* One bucket holds more than the whole batch. */
			err = batch_resize(&batch, entries, batch.size * 2);
			count = batch.size;
			if (err)
				break;
		}
		err = bpf_map_lookup_batch(bpf_map__fd(entries->map), first ? NULL : batch.position,
					   batch.position, batch.keys, batch.slots, &count, NULL);
		if (err && err != -ENOENT)
			continue;
		first = false;
		for (uint32_t i = 0; i < count; i++) {
			int failed = add(entries, batch.keys + i * entries->key_size,
					 batch.slots + i * entries->slots_size);

			err = failed ? failed : err;
		}
	}
	free(batch.keys);
	free(batch.slots);
	free(batch.position);
	return err == -ENOENT ? 0 : err;
}

static bool contains(const struct entries *entries, const void *key)
{
	size_t size = entries->key_size + entries->value_size;

	for (size_t at = 0; at < entries->used; at += size) {
		if (memcmp(entries->bytes + at, key, entries->key_size) == 0)
			return true;
	}
	return false;
}

/* A key deleted under the walk sends it back to the first one: twice seen keys are left out then. */
static int read_keys(struct entries *entries)
{
	int fd = bpf_map__fd(entries->map);
	uint8_t *key = malloc(entries->key_size), *next = malloc(entries->key_size);
	uint8_t *slots = malloc(entries->slots_size);
	uint64_t steps = 4 * (uint64_t)bpf_map__max_entries(entries->map) + 16;
	bool hash = bpf_map__type(entries->map) != BPF_MAP_TYPE_PERCPU_ARRAY &&
		    bpf_map__type(entries->map) != BPF_MAP_TYPE_ARRAY;
	int err = key && next && slots ? 0 : -ENOMEM;

	for (bool first = true; !err; first = false) {
		err = bpf_map_get_next_key(fd, first ? NULL : key, next);
		if (err)
			break;
		if (steps-- == 0) {
			err = -EAGAIN;
			break;
		}
		memcpy(key, next, entries->key_size);
		if (hash && contains(entries, key))
			continue;
		err = bpf_map_lookup_elem(fd, key, slots);
		if (!err)
			err = add(entries, key, slots);
		else if (err == -ENOENT)
			err = 0;
	}
	free(key);
	free(next);
	free(slots);
	return err == -ENOENT ? 0 : err;
}

napi_value object_read_map(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "readMap");
	struct entries entries = { 0 };
	napi_value buffer;
	int err;

	if (!object)
		return NULL;
	entries.map = object_loaded_map(object, &arguments);
	if (!entries.map)
		return NULL;
	entries.key_size = bpf_map__key_size(entries.map);
	entries.value_size = bpf_map__value_size(entries.map);
	entries.slots_size = map_value_slots_size(entries.map);
	if (entries.key_size == 0 || entries.value_size == 0)
		return fail(env, "NATIVE_MAP", EINVAL, "Map %s of %s has no entries to read",
			    bpf_map__name(entries.map), object->owner);
	err = read_batches(&entries);
	if (err == -EOPNOTSUPP || err == -ENOTSUPP || err == -EINVAL) {
		entries.used = 0;
		err = read_keys(&entries);
	}
	if (err) {
		free(entries.bytes);
		return fail(env, "NATIVE_MAP", err, "Cannot read map %s of %s", bpf_map__name(entries.map),
			    object->owner);
	}
	buffer = buffer_copy(env, entries.bytes, entries.used);
	free(entries.bytes);
	return buffer;
}
