/* SPDX-License-Identifier: Apache-2.0 */
/* Selecting programs and attaching them, one by one. */
#include "object.h"

#include <errno.h>

napi_value object_programs(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "programs");
	napi_value list;

	if (!object)
		return NULL;
	TRY(napi_create_array_with_length(env, object->program_count, &list));
	for (size_t i = 0; i < object->program_count; i++) {
		const struct bpf_program *program = object->programs[i].program;
		napi_value entry;

		TRY(napi_create_object(env, &entry));
		set_string(env, entry, "name", bpf_program__name(program));
		set_string(env, entry, "section", bpf_program__section_name(program));
		TRY(napi_set_element(env, list, (uint32_t)i, entry));
	}
	return list;
}

napi_value object_set_autoload(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "setAutoload");
	struct program *program;
	bool on;
	int err;

	if (!object)
		return NULL;
	program = object_program(object, &arguments);
	if (!program || !argument_bool(&arguments, 1, "on", &on))
		return NULL;
	err = bpf_program__set_autoload(program->program, on);
	if (err)
		return fail(env, "NATIVE_LOAD", err, "setAutoload: %s of %s must be selected before load",
			    bpf_program__name(program->program), object->owner);
	return undefined(env);
}

napi_value object_attach(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "attach");
	struct program *program;

	if (!object)
		return NULL;
	program = object_program(object, &arguments);
	if (!program)
		return NULL;
	if (program->link)
		return undefined(env);
	if (bpf_program__fd(program->program) < 0)
		return fail(env, "NATIVE_ATTACH", 0, "Cannot attach %s of %s: it is not loaded",
			    bpf_program__name(program->program), object->owner);
	program->link = bpf_program__attach(program->program);
	if (!program->link)
		return fail(env, "NATIVE_ATTACH", errno, "Cannot attach %s of %s (%s)",
			    bpf_program__name(program->program), object->owner,
			    bpf_program__section_name(program->program));
	return undefined(env);
}

napi_value object_detach(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "detach");
	struct program *program;
	int err;

	if (!object)
		return NULL;
	program = object_program(object, &arguments);
	if (!program)
		return NULL;
	err = bpf_link__destroy(program->link);
	program->link = NULL;
	if (err)
		return fail(env, "NATIVE_ATTACH", err, "Cannot detach %s of %s",
			    bpf_program__name(program->program), object->owner);
	return undefined(env);
}

napi_value object_attached(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct object *object = object_read(&arguments, env, info, "attached");
	struct program *program;
	napi_value value;

	if (!object)
		return NULL;
	program = object_program(object, &arguments);
	if (!program)
		return NULL;
	TRY(napi_get_boolean(env, program->link != NULL, &value));
	return value;
}
