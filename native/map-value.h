/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as the kernel passes them: one, or for per-CPU maps one per possible CPU, each in slots of
 * 8 bytes. JavaScript sees the sum of those whose value is a u64, and the first CPU's of others.
 */
#ifndef JITTERSCOPE_MAP_VALUE_H
#define JITTERSCOPE_MAP_VALUE_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

bool map_is_per_cpu(const struct bpf_map *map);
/* Bytes of one entry's value or values. */
size_t map_value_slots_size(const struct bpf_map *map);
/* The slots that stand for a value: of per-CPU maps the first CPU's. To be freed; NULL without memory. */
void *map_value_expand(const struct bpf_map *map, const void *value);
/* Puts the sum over the CPUs into the first slot. */
void map_value_sum(const struct bpf_map *map, void *slots);

#endif
