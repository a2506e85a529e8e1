/* SPDX-License-Identifier: Apache-2.0 */
#include "kept-files.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* In the whole process: the kernel keeps a buffer of one page or two for each. */
#define MOST_KEPT 4096
/* Others need descriptors, too. */
#define SHARE_OF_DESCRIPTORS 4

struct kept_file {
	int fd;
	char name[64];
};

static atomic_size_t all_kept;

static bool take_room(void)
{
	struct rlimit limit = { .rlim_cur = 0 };
	size_t most = MOST_KEPT;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur / SHARE_OF_DESCRIPTORS < most)
		most = limit.rlim_cur / SHARE_OF_DESCRIPTORS;
	if (atomic_fetch_add(&all_kept, 1) < most)
		return true;
	atomic_fetch_sub(&all_kept, 1);
	return false;
}

static struct kept_file *find(const struct kept_files *kept, const char *name)
{
	for (size_t i = 0; i < kept->count; i++)
		if (strcmp(kept->files[i].name, name) == 0)
			return &kept->files[i];
	return NULL;
}

static void close_one(const struct kept_file *file)
{
	close(file->fd);
	atomic_fetch_sub(&all_kept, 1);
}

int kept_files_find(const struct kept_files *kept, const char *name)
{
	const struct kept_file *file = find(kept, name);

	return file ? file->fd : -1;
}

bool kept_files_add(struct kept_files *kept, const char *name, int fd)
{
	struct kept_file *files, *file;

	if (strlen(name) >= sizeof(file->name) || find(kept, name) || !take_room())
		return false;
	files = realloc(kept->files, (kept->count + 1) * sizeof(*files));
	if (!files) {
		atomic_fetch_sub(&all_kept, 1);
		return false;
	}
	kept->files = files;
	file = &files[kept->count++];
	file->fd = fd;
	strcpy(file->name, name);
	return true;
}

void kept_files_drop(struct kept_files *kept, const char *name)
{
	struct kept_file *file = find(kept, name);

	if (!file)
		return;
	close_one(file);
	*file = kept->files[--kept->count];
}

void kept_files_close(struct kept_files *kept)
{
	for (size_t i = 0; i < kept->count; i++)
		close_one(&kept->files[i]);
	free(kept->files);
	*kept = (struct kept_files){ 0 };
}
