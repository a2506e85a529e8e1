/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Global data of a loaded object, read and written in the kernel's own pages: libbpf makes the maps
 * of .data and .bss with BPF_F_MMAPABLE. Where that does not work, element 0 of the array map. What is read-only is
 * written before load, into what libbpf will fill its map with.
 */
#include "object.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* libbpf names .data and .bss <object>.data; others, as .data.settings, by their section. */
static struct bpf_map *find_section(struct object *object, const struct arguments *arguments, bool loaded)
{
	struct bpf_map *map, *found = NULL;
	char section[NAME_SIZE];

	if (!argument_string(arguments, 0, "section", section, sizeof(section)))
		return NULL;
	bpf_object__for_each_map(map, object->bpf) {
		if (!bpf_map__is_internal(map))
			continue;
		if (strcmp(bpf_map__name(map), section) == 0)
			found = map;
		else if (!found && section[0] == '.' && ends_with(bpf_map__name(map), section))
			found = map;
	}
	if (!found)
		fail(arguments->env, "NATIVE_ARGUMENT", ENOENT, "%s: %s has no section %s",
		     arguments->function, object->owner, section);
	else if (object->loaded != loaded)
		fail(arguments->env, "NATIVE_MAP", 0, "%s: %s is %s", arguments->function, object->owner,
		     loaded ? "not loaded" : "loaded already");
	return object->loaded == loaded ? found : NULL;
}

static size_t mapped_size(const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bpf_map__value_size(map) + page - 1) / page * page;
}

static void *map_pages(const struct bpf_map *map, int protection)
{
	void *pages = mmap(NULL, mapped_size(map), protection, MAP_SHARED, bpf_map__fd(map), 0);

	return pages == MAP_FAILED ? NULL : pages;
}

/* Copies the value to out. Returns 0 or a negative errno. */
static int read_value(const struct bpf_map *map, void *out)
{
	void *pages = map_pages(map, PROT_READ);
	uint32_t first = 0;

	if (!pages)
		return bpf_map_lookup_elem(bpf_map__fd(map), &first, out);
	memcpy(out, pages, bpf_map__value_size(map));
	munmap(pages, mapped_size(map));
	return 0;
}

static int write_value(const struct bpf_map *map, size_t offset, const struct bytes *bytes)
{
	char *pages = map_pages(map, PROT_READ | PROT_WRITE);
	uint32_t first = 0;
	char *value;
	int err;

	if (pages) {
		memcpy(pages + offset, bytes->data, bytes->size);
		munmap(pages, mapped_size(map));
		return 0;
	}
	value = malloc(bpf_map__value_size(map));
	if (!value)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(map), &first, value);
	if (!err) {
		memcpy(value + offset, bytes->data, bytes->size);
		err = bpf_map_update_elem(bpf_map__fd(map), &first, value, BPF_ANY);
	}
	free(value);
	return err;
}

napi_value object_read_data(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "readData");
	struct bpf_map *map;
	napi_value buffer;
	void *data;
	int err;

	if (!object)
		return NULL;
	map = find_section(object, &arguments, true);
	if (!map)
		return NULL;
	TRY(napi_create_buffer(env, bpf_map__value_size(map), &data, &buffer));
	err = read_value(map, data);
	if (err)
		return fail(env, "NATIVE_MAP", err, "Cannot read %s of %s", bpf_map__name(map),
			    object->owner);
	return buffer;
}

/* Reads offset and bytes to write into a section. False with an exception pending. */
static bool read_write(const struct arguments *arguments, const struct bpf_map *map, uint32_t *offset,
		       struct bytes *bytes)
{
	uint32_t size = bpf_map__value_size(map);

	if (!argument_u32(arguments, 1, "offset", 0, size, offset) || !argument_bytes(arguments, 2, "bytes", bytes))
		return false;
	if (bytes->size <= size - *offset)
		return true;
	fail(arguments->env, "NATIVE_ARGUMENT", 0, "%s: %zu bytes at %u do not fit into the %u bytes of %s",
	     arguments->function, bytes->size, *offset, size, bpf_map__name(map));
	return false;
}

napi_value object_write_data(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "writeData");
	struct bpf_map *map;
	struct bytes bytes;
	uint32_t offset;
	int err;

	if (!object)
		return NULL;
	map = find_section(object, &arguments, true);
	if (!map || !read_write(&arguments, map, &offset, &bytes))
		return NULL;
	if (bytes.size == 0)
		return undefined(env);
	err = write_value(map, offset, &bytes);
	if (err)
		return fail(env, "NATIVE_MAP", err, "Cannot write %s of %s", bpf_map__name(map),
			    object->owner);
	return undefined(env);
}

/* Changes what libbpf will fill the map with. Returns 0 or a negative errno. */
static int change_initial_value(struct bpf_map *map, size_t offset, const struct bytes *bytes)
{
	size_t size = 0;
	const void *value = bpf_map__initial_value(map, &size);
	char *changed = value ? malloc(size) : NULL;
	int err = value ? -ENOMEM : -EINVAL;

	if (changed) {
		memcpy(changed, value, size);
		memcpy(changed + offset, bytes->data, bytes->size);
		err = bpf_map__set_initial_value(map, changed, size);
	}
	free(changed);
	return err;
}

napi_value object_set_rodata(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "setRodata");
	struct bpf_map *map;
	struct bytes bytes;
	uint32_t offset;
	int err;

	if (!object)
		return NULL;
	map = find_section(object, &arguments, false);
	if (!map || !read_write(&arguments, map, &offset, &bytes))
		return NULL;
	err = change_initial_value(map, offset, &bytes);
	if (err)
		return fail(env, "NATIVE_MAP", err, "Cannot set %s of %s", bpf_map__name(map), object->owner);
	return undefined(env);
}
