/* SPDX-License-Identifier: Apache-2.0 */
/* Single entries of maps. */
#include "object.h"
#include "map-value.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

napi_value object_set_map_entries(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "setMapEntries");
	struct bpf_map *map;
	uint32_t entries;
	int err;

	if (!object)
		return NULL;
	map = object_map(object, &arguments);
	if (!map || !argument_u32(&arguments, 1, "entries", 1, UINT32_MAX, &entries))
		return NULL;
	err = bpf_map__set_max_entries(map, entries);
	if (err)
		return fail(env, "NATIVE_MAP", err, "setMapEntries: size of %s of %s must be set before load",
			    bpf_map__name(map), object->owner);
	return undefined(env);
}

napi_value object_maps(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "maps");
	struct bpf_map *map;
	uint32_t count = 0;
	napi_value list;

	if (!object)
		return NULL;
	TRY(napi_create_array(env, &list));
	bpf_object__for_each_map(map, object->bpf) {
		napi_value name;

		if (bpf_map__is_internal(map))
			continue;
		TRY(napi_create_string_utf8(env, bpf_map__name(map), NAPI_AUTO_LENGTH, &name));
		TRY(napi_set_element(env, list, count++, name));
	}
	return list;
}

napi_value object_set_autocreate(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "setAutocreate");
	struct bpf_map *map;
	bool on;
	int err;

	if (!object)
		return NULL;
	map = object_map(object, &arguments);
	if (!map || !argument_bool(&arguments, 1, "on", &on))
		return NULL;
	err = bpf_map__set_autocreate(map, on);
	if (err)
		return fail(env, "NATIVE_MAP", err, "setAutocreate: %s of %s must be chosen before load",
			    bpf_map__name(map), object->owner);
	return undefined(env);
}

static bool same_shape(const struct bpf_map *one, const struct bpf_map *other)
{
	return bpf_map__type(one) == bpf_map__type(other) && bpf_map__key_size(one) == bpf_map__key_size(other) &&
	       bpf_map__value_size(one) == bpf_map__value_size(other);
}

napi_value object_share_map(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "shareMap"), *from;
	struct bpf_map *map, *shared;
	int err;

	if (!object)
		return NULL;
	from = object_argument(&arguments, 1, "from");
	map = object_map(object, &arguments);
	if (!from || !map)
		return NULL;
	if (!from->loaded || object->loaded)
		return fail(env, "NATIVE_MAP", 0, "shareMap: %s must be loaded, %s not yet", from->owner, object->owner);
	shared = bpf_object__find_map_by_name(from->bpf, bpf_map__name(map));
	if (!shared)
		return fail(env, "NATIVE_ARGUMENT", ENOENT, "shareMap: %s has no map %s", from->owner, bpf_map__name(map));
	if (!same_shape(map, shared))
		return fail(env, "NATIVE_MAP", 0, "shareMap: map %s of %s has another type or size than that of %s",
			    bpf_map__name(map), object->owner, from->owner);
	err = bpf_map__reuse_fd(map, bpf_map__fd(shared));
	if (err)
		return fail(env, "NATIVE_MAP", err, "Cannot share map %s of %s", bpf_map__name(map), from->owner);
	return undefined(env);
}

static bool has_size(const struct arguments *arguments, const char *name, const struct bytes *bytes,
		     size_t expected, const struct bpf_map *map)
{
	if (bytes->size == expected)
		return true;
	fail(arguments->env, "NATIVE_ARGUMENT", 0, "%s: %s of map %s must have %zu bytes, found %zu",
	     arguments->function, name, bpf_map__name(map), expected, bytes->size);
	return false;
}

/* Reads map and key. */
static struct bpf_map *read_key(struct object *object, const struct arguments *arguments,
				struct bytes *key)
{
	struct bpf_map *map = object_loaded_map(object, arguments);

	if (!map || !argument_bytes(arguments, 1, "key", key) ||
	    !has_size(arguments, "key", key, bpf_map__key_size(map), map))
		return NULL;
	return map;
}

napi_value object_map_update(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "mapUpdate");
	struct bytes key, value;
	struct bpf_map *map;
	void *slots;
	int err;

	if (!object)
		return NULL;
	map = read_key(object, &arguments, &key);
	if (!map || !argument_bytes(&arguments, 2, "value", &value) ||
	    !has_size(&arguments, "value", &value, bpf_map__value_size(map), map))
		return NULL;
	slots = map_value_expand(map, value.data);
	err = slots ? bpf_map_update_elem(bpf_map__fd(map), key.data, slots, BPF_ANY) : -ENOMEM;
	free(slots);
	if (err)
		return fail(env, "NATIVE_MAP", err, "Cannot update map %s of %s", bpf_map__name(map),
			    object->owner);
	return undefined(env);
}

napi_value object_map_delete(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "mapDelete");
	struct bpf_map *map;
	napi_value deleted;
	struct bytes key;
	int err;

	if (!object)
		return NULL;
	map = read_key(object, &arguments, &key);
	if (!map)
		return NULL;
	err = bpf_map_delete_elem(bpf_map__fd(map), key.data);
	if (err && err != -ENOENT)
		return fail(env, "NATIVE_MAP", err, "Cannot delete from map %s of %s", bpf_map__name(map),
			    object->owner);
	TRY(napi_get_boolean(env, err == 0, &deleted));
	return deleted;
}

napi_value object_map_lookup(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "mapLookup");
	struct bpf_map *map;
	napi_value buffer;
	struct bytes key;
	void *slots;
	int err;

	if (!object)
		return NULL;
	map = read_key(object, &arguments, &key);
	if (!map)
		return NULL;
	slots = calloc(1, map_value_slots_size(map));
	err = slots ? bpf_map_lookup_elem(bpf_map__fd(map), key.data, slots) : -ENOMEM;
	if (err) {
		free(slots);
		if (err == -ENOENT)
			return undefined(env);
		return fail(env, "NATIVE_MAP", err, "Cannot look up in map %s of %s", bpf_map__name(map),
			    object->owner);
	}
	map_value_sum(map, slots);
	buffer = buffer_copy(env, slots, bpf_map__value_size(map));
	free(slots);
	return buffer;
}
