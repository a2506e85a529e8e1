/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const napi_type_tag object_tag = { 0x3b0e7d52a94c4f18, 0xa67d1e83c2f05b94 };

static struct object *open_or_fail(struct object *object, const struct arguments *arguments)
{
	if (!object || object->bpf)
		return object;
	fail(arguments->env, "NATIVE_ARGUMENT", EBADF, "%s: %s is closed", arguments->function, object->owner);
	return NULL;
}

struct object *object_read(struct arguments *arguments, napi_env env, napi_callback_info info,
			   const char *function)
{
	if (!arguments_read(arguments, env, info, function))
		return NULL;
	return open_or_fail(argument_self(arguments, &object_tag, "BpfObject"), arguments);
}

struct object *object_argument(const struct arguments *arguments, size_t index, const char *name)
{
	return open_or_fail(argument_tagged(arguments, index, name, &object_tag, "BpfObject"), arguments);
}

struct program *object_program(struct object *object, const struct arguments *arguments)
{
	char name[NAME_SIZE];

	if (!argument_string(arguments, 0, "program", name, sizeof(name)))
		return NULL;
	for (size_t i = 0; i < object->program_count; i++) {
		if (strcmp(bpf_program__name(object->programs[i].program), name) == 0)
			return &object->programs[i];
	}
	fail(arguments->env, "NATIVE_ARGUMENT", ENOENT, "%s: %s has no program %s", arguments->function,
	     object->owner, name);
	return NULL;
}

struct bpf_map *object_map(struct object *object, const struct arguments *arguments)
{
	char name[NAME_SIZE];
	struct bpf_map *map;

	if (!argument_string(arguments, 0, "map", name, sizeof(name)))
		return NULL;
	map = bpf_object__find_map_by_name(object->bpf, name);
	if (!map)
		fail(arguments->env, "NATIVE_ARGUMENT", ENOENT, "%s: %s has no map %s",
		     arguments->function, object->owner, name);
	return map;
}

struct bpf_map *object_loaded_map(struct object *object, const struct arguments *arguments)
{
	struct bpf_map *map = object_map(object, arguments);

	if (map && !object->loaded) {
		fail(arguments->env, "NATIVE_MAP", 0, "%s: %s is not loaded", arguments->function,
		     object->owner);
		return NULL;
	}
	return map;
}

/*
 * A pending signal makes the verifier give up with EAGAIN (bpf_check), and libbpf stops trying after a few times: under a
 * profiler, which sends one every millisecond, no larger program would ever be loaded.
 */
static int load_undisturbed(struct bpf_object *bpf)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = bpf_object__load(bpf);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static napi_value object_load(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "load");
	int err;

	if (!object)
		return NULL;
	if (object->loaded)
		return fail(env, "NATIVE_LOAD", 0, "%s is loaded already", object->owner);
	err = load_undisturbed(object->bpf);
	if (err)
		return fail(env, "NATIVE_LOAD", err, "Cannot load %s", object->owner);
	object->loaded = true;
	return undefined(env);
}

static void close_object(struct object *object)
{
	for (size_t i = 0; i < object->program_count; i++)
		bpf_link__destroy(object->programs[i].link);
	/* A reader keeps its own mapping of the ring: it drains what the programs left. */
	reader_list_stop(&object->readers);
	free(object->programs);
	object->programs = NULL;
	object->program_count = 0;
	bpf_object__close(object->bpf);
	object->bpf = NULL;
}

static napi_value object_close(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object;

	if (!arguments_read(&arguments, env, info, "close"))
		return NULL;
	object = argument_self(&arguments, &object_tag, "BpfObject");
	if (!object)
		return NULL;
	if (object->bpf) {
		close_object(object);
		napi_delete_reference(env, object->self);
	}
	return undefined(env);
}

/* The object was closed and collected, or the environment ends. */
static void on_collected(napi_env env, void *data, void *hint)
{
	struct object *object = data;

	(void)env;
	(void)hint;
	if (object->bpf)
		close_object(object);
	free(object);
}

static struct object *open_object(const char *owner, const struct bytes *bytes)
{
	struct bpf_object_open_opts options = { .sz = sizeof(options), .object_name = owner };
	struct object *object = calloc(1, sizeof(*object));
	struct bpf_program *program;
	size_t count = 0;

	if (!object)
		return NULL;
	strcpy(object->owner, owner);
	object->bpf = bpf_object__open_mem(bytes->data, bytes->size, &options);
	if (!object->bpf)
		goto fail;
	bpf_object__for_each_program(program, object->bpf)
		count++;
	object->programs = calloc(count + 1, sizeof(*object->programs));
	if (!object->programs)
		goto fail;
	bpf_object__for_each_program(program, object->bpf)
		object->programs[object->program_count++].program = program;
	return object;

fail:
	count = (size_t)errno;
	bpf_object__close(object->bpf);
	free(object);
	errno = (int)count;
	return NULL;
}

#define METHOD(name, function) { .utf8name = name, .method = function, .attributes = napi_enumerable }

static const napi_property_descriptor methods[] = {
	METHOD("programs", object_programs),
	METHOD("setAutoload", object_set_autoload),
	METHOD("maps", object_maps),
	METHOD("setAutocreate", object_set_autocreate),
	METHOD("shareMap", object_share_map),
	METHOD("setMapEntries", object_set_map_entries),
	METHOD("load", object_load),
	METHOD("attach", object_attach),
	METHOD("detach", object_detach),
	METHOD("attached", object_attached),
	METHOD("iterate", object_iterate),
	METHOD("testRun", object_test_run),
	METHOD("readData", object_read_data),
	METHOD("writeData", object_write_data),
	METHOD("mapUpdate", object_map_update),
	METHOD("mapDelete", object_map_delete),
	METHOD("mapLookup", object_map_lookup),
	METHOD("readMap", object_read_map),
	METHOD("setRodata", object_set_rodata),
	METHOD("startReader", object_start_reader),
	METHOD("startPerfReader", object_start_perf_reader),
	METHOD("close", object_close),
};

napi_value native_open_object(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	char owner[NAME_SIZE];
	struct object *object;
	struct bytes bytes;
	napi_value self;

	if (!arguments_read(&arguments, env, info, "openObject") ||
	    !argument_string(&arguments, 0, "owner", owner, sizeof(owner)) ||
	    !argument_bytes(&arguments, 1, "bytes", &bytes))
		return NULL;
	object = open_object(owner, &bytes);
	if (!object)
		return fail(env, "NATIVE_OPEN", errno, "Cannot open %s (%zu bytes)", owner, bytes.size);
	if (napi_create_object(env, &self) != napi_ok ||
	    napi_define_properties(env, self, ARRAY_SIZE(methods), methods) != napi_ok ||
	    napi_type_tag_object(env, self, &object_tag) != napi_ok ||
	    napi_wrap(env, self, object, on_collected, NULL, NULL) != napi_ok) {
		on_collected(env, object, NULL);
		return fail_node_api(env);
	}
	TRY(napi_create_reference(env, self, 1, &object->self));
	return self;
}
