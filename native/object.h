/* SPDX-License-Identifier: Apache-2.0 */
/* An opened BPF object and its programs' links. */
#ifndef JITTERSCOPE_OBJECT_H
#define JITTERSCOPE_OBJECT_H

#include "arguments.h"
#include "reader.h"

#include <bpf/libbpf.h>

struct program {
	struct bpf_program *program;
	struct bpf_link *link; /* NULL: not attached */
};

struct object {
	struct bpf_object *bpf; /* NULL: closed */
	bool loaded;
	napi_ref self; /* strong until close: an object in use is never collected */
	struct reader_list readers;
	struct program *programs;
	size_t program_count;
	char owner[NAME_SIZE];
};

/* Reads arguments and the open object they are for; NULL with an exception pending. */
struct object *object_read(struct arguments *arguments, napi_env env, napi_callback_info info,
			   const char *function);
/* Reads an argument as another open object; NULL with an exception pending. */
struct object *object_argument(const struct arguments *arguments, size_t index, const char *name);
/* Reads argument 0 as the name of a program or map; NULL with an exception pending. */
struct program *object_program(struct object *object, const struct arguments *arguments);
struct bpf_map *object_map(struct object *object, const struct arguments *arguments);
/* The same, of a loaded object. */
struct bpf_map *object_loaded_map(struct object *object, const struct arguments *arguments);

/* Methods, by file: program.c */
napi_value object_programs(napi_env env, napi_callback_info info);
napi_value object_set_autoload(napi_env env, napi_callback_info info);
napi_value object_attach(napi_env env, napi_callback_info info);
napi_value object_detach(napi_env env, napi_callback_info info);
napi_value object_attached(napi_env env, napi_callback_info info);
/* program-run.c */
napi_value object_iterate(napi_env env, napi_callback_info info);
napi_value object_test_run(napi_env env, napi_callback_info info);
/* map.c */
napi_value object_maps(napi_env env, napi_callback_info info);
napi_value object_set_autocreate(napi_env env, napi_callback_info info);
napi_value object_share_map(napi_env env, napi_callback_info info);
napi_value object_set_map_entries(napi_env env, napi_callback_info info);
napi_value object_map_update(napi_env env, napi_callback_info info);
napi_value object_map_delete(napi_env env, napi_callback_info info);
napi_value object_map_lookup(napi_env env, napi_callback_info info);
/* map-data.c */
napi_value object_read_data(napi_env env, napi_callback_info info);
napi_value object_write_data(napi_env env, napi_callback_info info);
napi_value object_set_rodata(napi_env env, napi_callback_info info);
/* map-read.c */
napi_value object_read_map(napi_env env, napi_callback_info info);
/* object-reader.c */
napi_value object_start_reader(napi_env env, napi_callback_info info);
napi_value object_start_perf_reader(napi_env env, napi_callback_info info);

#endif
