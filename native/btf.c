/* SPDX-License-Identifier: Apache-2.0 */
/* What the running kernel says of itself: /sys/kernel/btf/vmlinux, parsed once per process. */
#include "arguments.h"

#include <bpf/btf.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* NULL with an exception pending. Never freed: all environments of the process share it. */
static struct btf *kernel_btf(napi_env env)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct btf *shared;
	struct btf *btf;
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!shared) {
		shared = btf__load_vmlinux_btf();
		err = shared ? 0 : errno;
	}
	btf = shared;
	pthread_mutex_unlock(&lock);
	if (!btf)
		fail(env, "NATIVE_OPEN", err, "Cannot read the kernel's BTF (/sys/kernel/btf/vmlinux)");
	return btf;
}

/* Follows typedefs, const, volatile. */
static const struct btf_type *resolve(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (type && (btf_is_typedef(type) || btf_is_mod(type)))
		type = btf__type_by_id(btf, type->type);
	return type;
}

napi_value native_tracepoint_args(napi_env env, napi_callback_info info)
{
	const struct btf_type *type;
	struct arguments arguments;
	char name[NAME_SIZE], definition[NAME_SIZE + 16];
	struct btf *btf;
	napi_value count;
	int id;

	if (!arguments_read(&arguments, env, info, "tracepointArgs") ||
	    !argument_string(&arguments, 0, "name", name, sizeof(name)))
		return NULL;
	btf = kernel_btf(env);
	if (!btf)
		return NULL;
	snprintf(definition, sizeof(definition), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, definition, BTF_KIND_TYPEDEF);
	type = id > 0 ? resolve(btf, (uint32_t)id) : NULL;
	if (!type || !btf_is_ptr(type))
		return undefined(env);
	type = resolve(btf, type->type);
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) == 0)
		return undefined(env);
	/* The first parameter is the tracepoint's own context. */
	TRY(napi_create_uint32(env, btf_vlen(type) - 1U, &count));
	return count;
}

static napi_value enum_entry(napi_env env, int64_t value, const char *name)
{
	napi_value entry, number, text;

	TRY(napi_create_array_with_length(env, 2, &entry));
	TRY(napi_create_int64(env, value, &number));
	TRY(napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text));
	TRY(napi_set_element(env, entry, 0, number));
	TRY(napi_set_element(env, entry, 1, text));
	return entry;
}

napi_value native_enum_values(napi_env env, napi_callback_info info)
{
	const struct btf_enum *values;
	const struct btf_type *type;
	struct arguments arguments;
	char name[NAME_SIZE];
	napi_value list;
	struct btf *btf;
	int id;

	if (!arguments_read(&arguments, env, info, "enumValues") ||
	    !argument_string(&arguments, 0, "name", name, sizeof(name)))
		return NULL;
	btf = kernel_btf(env);
	if (!btf)
		return NULL;
	id = btf__find_by_name_kind(btf, name, BTF_KIND_ENUM);
	if (id <= 0)
		return undefined(env);
	type = btf__type_by_id(btf, (uint32_t)id);
	values = btf_enum(type);
	TRY(napi_create_array_with_length(env, btf_vlen(type), &list));
	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		/* BTF_KIND_ENUM is 32 bits wide; the flag says whether it is signed (kernel 6.0). */
		int64_t value = btf_kflag(type) ? values[i].val : (int64_t)(uint32_t)values[i].val;
		napi_value entry = enum_entry(env, value, btf__name_by_offset(btf, values[i].name_off));

		if (!entry)
			return NULL;
		TRY(napi_set_element(env, list, i, entry));
	}
	return list;
}

/* Also looks into anonymous structs and unions. */
static bool has_member(const struct btf *btf, const struct btf_type *type, const char *name)
{
	const struct btf_member *members = btf_members(type);

	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const char *member = btf__name_by_offset(btf, members[i].name_off);
		const struct btf_type *inner;

		if (strcmp(member, name) == 0)
			return true;
		inner = member[0] ? NULL : resolve(btf, members[i].type);
		if (inner && btf_is_composite(inner) && has_member(btf, inner, name))
			return true;
	}
	return false;
}

napi_value native_has_member(napi_env env, napi_callback_info info)
{
	char structure[NAME_SIZE], member[NAME_SIZE];
	struct arguments arguments;
	struct btf *btf;
	napi_value found;
	int id;

	if (!arguments_read(&arguments, env, info, "hasMember") ||
	    !argument_string(&arguments, 0, "struct", structure, sizeof(structure)) ||
	    !argument_string(&arguments, 1, "member", member, sizeof(member)))
		return NULL;
	btf = kernel_btf(env);
	if (!btf)
		return NULL;
	id = btf__find_by_name_kind(btf, structure, BTF_KIND_STRUCT);
	TRY(napi_get_boolean(env, id > 0 && has_member(btf, btf__type_by_id(btf, (uint32_t)id), member),
			     &found));
	return found;
}
