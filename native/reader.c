/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"
#include "reader-thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const napi_type_tag reader_tag = { 0x8d3c5a1f6b7e4029, 0x9f21c7d4e8a60b35 };

static void list_add(struct reader_list *list, struct reader *reader)
{
	reader->next = list->first;
	reader->list = list;
	list->first = reader;
}

static void list_remove(struct reader *reader)
{
	struct reader **place;

	if (!reader->list)
		return;
	for (place = &reader->list->first; *place; place = &(*place)->next) {
		if (*place == reader) {
			*place = reader->next;
			break;
		}
	}
	reader->list = NULL;
}

bool reader_list_has(const struct reader_list *list, const char *name)
{
	for (const struct reader *reader = list->first; reader; reader = reader->next) {
		if (strcmp(reader->name, name) == 0)
			return true;
	}
	return false;
}

void reader_list_stop(struct reader_list *list)
{
	while (list->first) {
		reader_thread_stop(list->first);
		list_remove(list->first);
	}
}

bool reader_options_read(const struct arguments *arguments, size_t index,
			 struct reader_options *options)
{
	return argument_option(arguments, index, "drainMs", 1, 60000, &options->drain_ms) &&
	       argument_option(arguments, index, "chunkBytes", RECORD_MAX_BYTES, 64 << 20,
			       &options->chunk_bytes) &&
	       argument_option(arguments, index, "maxChunks", 1, 4096, &options->max_chunks);
}

static void reader_unref(struct reader *reader)
{
	if (--reader->references > 0)
		return;
	free(reader->chunk);
	chunk_pool_destroy(&reader->pool);
	free(reader);
}

/* The environment ends before the reader does: nothing can be delivered any more. */
static void on_environment_end(void *data)
{
	struct reader *reader = data;

	reader->environment_ended = true;
	reader_thread_abort(reader);
}

static void on_wrapper_collected(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	reader_unref(data);
}

/* Runs on the JavaScript thread for each chunk; without an environment when it is being torn down. */
static void on_chunk(napi_env env, napi_value callback, void *context, void *data)
{
	struct reader *reader = context;
	struct chunk *chunk = data;
	napi_value buffer, receiver, thrown;
	bool pending = false;
	napi_status status;

	if (!env) {
		/* The reader may be freed already. */
		free(chunk);
		return;
	}
	status = napi_create_buffer_copy(env, chunk->used, chunk->bytes, NULL, &buffer);
	chunk_pool_give(&reader->pool, chunk);
	if (status == napi_ok && napi_get_undefined(env, &receiver) == napi_ok)
		napi_call_function(env, receiver, callback, 1, &buffer, NULL);
	/* Node would only warn about an exception here. */
	if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
	    napi_get_and_clear_last_exception(env, &thrown) == napi_ok)
		napi_fatal_exception(env, thrown);
}

static uint64_t lost_by(const struct reader *reader)
{
	struct source *source = reader->source;

	return source && source->lost ? source->lost(source) : reader->lost;
}

/* Runs on the JavaScript thread after the last chunk: the thread has released its hold. */
static void on_ended(napi_env env, void *data, void *hint)
{
	struct reader *reader = data;
	int err = reader->source->err;
	napi_value value;

	(void)hint;
	reader_thread_join(reader);
	list_remove(reader);
	reader->lost = lost_by(reader);
	reader->source->free(reader->source);
	reader->source = NULL;
	if (!reader->environment_ended) {
		napi_remove_env_cleanup_hook(env, on_environment_end, reader);
		log_begin();
		value = err ? failure_create(env, "NATIVE_REPLAY", err, reader->name) : undefined(env);
		if (err && value)
			napi_reject_deferred(env, reader->ended, value);
		else
			napi_resolve_deferred(env, reader->ended, undefined(env));
	}
	reader_unref(reader);
}

static napi_value reader_stats(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct reader *reader;
	napi_value stats;

	if (!arguments_read(&arguments, env, info, "stats"))
		return NULL;
	reader = argument_self(&arguments, &reader_tag, "Reader");
	if (!reader)
		return NULL;
	TRY(napi_create_object(env, &stats));
	set_number(env, stats, "records", (double)atomic_load(&reader->records));
	set_number(env, stats, "bytes", (double)atomic_load(&reader->bytes));
	set_number(env, stats, "chunks", (double)atomic_load(&reader->chunks));
	set_number(env, stats, "stalls", (double)atomic_load(&reader->stalls));
	set_number(env, stats, "malformed", (double)atomic_load(&reader->malformed));
	set_number(env, stats, "lost", (double)lost_by(reader));
	set_number(env, stats, "ringBytes",
		   reader->source ? (double)reader->source->waiting(reader->source) : 0);
	return stats;
}

static napi_value reader_stop(napi_env env, napi_callback_info info)
{
	struct arguments arguments;
	struct reader *reader;
	napi_value ended;

	if (!arguments_read(&arguments, env, info, "stop"))
		return NULL;
	reader = argument_self(&arguments, &reader_tag, "Reader");
	if (!reader)
		return NULL;
	reader_thread_stop(reader);
	TRY(napi_get_named_property(env, arguments.self, "ended", &ended));
	return ended;
}

/* The Reader object: takes the second reference when it succeeds. */
static napi_value wrap(napi_env env, struct reader *reader)
{
	napi_property_descriptor properties[] = {
		{ .utf8name = "stats", .method = reader_stats, .attributes = napi_enumerable },
		{ .utf8name = "stop", .method = reader_stop, .attributes = napi_enumerable },
		{ .utf8name = "ended", .attributes = napi_enumerable },
	};
	napi_value object;

	TRY(napi_create_object(env, &object));
	TRY(napi_create_promise(env, &reader->ended, &properties[2].value));
	TRY(napi_define_properties(env, object, ARRAY_SIZE(properties), properties));
	TRY(napi_type_tag_object(env, object, &reader_tag));
	TRY(napi_wrap(env, object, reader, on_wrapper_collected, NULL, NULL));
	reader->references++;
	return object;
}

napi_value reader_start(napi_env env, const char *name, const struct reader_options *options,
			struct source *source, napi_value callback, struct reader_list *list)
{
	size_t name_size = strlen(name) + 1;
	struct reader *reader = calloc(1, sizeof(*reader) + name_size);
	napi_value label, object;
	int err = reader ? chunk_pool_init(&reader->pool, options->chunk_bytes, options->max_chunks)
			 : ENOMEM;

	if (err) {
		free(reader);
		source->free(source);
		return fail(env, "NATIVE_READER", err, "Reader of %s", name);
	}
	memcpy(reader->name, name, name_size);
	reader->source = source;
	reader->drain_ms = options->drain_ms;
	reader->references = 1;
	object = wrap(env, reader);
	if (!object || napi_create_string_utf8(env, "jitterscope", NAPI_AUTO_LENGTH, &label) != napi_ok ||
	    napi_create_threadsafe_function(env, callback, NULL, label, options->max_chunks, 1, reader,
					    on_ended, reader, on_chunk, &reader->deliver) != napi_ok) {
		source->free(source);
		reader->source = NULL;
		reader_unref(reader);
		return fail_node_api(env);
	}
	/* After the thread-safe function's own hook, so that it runs before it. */
	napi_add_env_cleanup_hook(env, on_environment_end, reader);
	if (list)
		list_add(list, reader);
	err = reader_thread_start(reader);
	if (err) {
		/* on_ended frees it. */
		napi_release_threadsafe_function(reader->deliver, napi_tsfn_release);
		return fail(env, "NATIVE_READER", err, "Thread of the reader of %s", name);
	}
	return object;
}
