/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that enters network namespaces. It comes back to this process's own after each visit, so that it never
 * keeps one alive, and lives as long as the process does: the addon is linked not to be unloaded.
 */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREAD_STACK_BYTES (256 << 10)

struct visit {
	int fd;
	netns_work work;
	void *data;
	const char *step;
	int err;
	bool done;
};

/* One visit at a time. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER, answered = PTHREAD_COND_INITIALIZER;
/* Under the lock. */
static struct visit *current;
static bool running;

/* The thread's own descriptors, and which namespace is its own. */
struct home {
	int netns;
	int proc_net;
	struct stat file;
};

static int home_open(struct home *home, const char **step)
{
	*step = "open /proc/thread-self/ns/net before entering";
	home->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home->netns < 0 || fstat(home->netns, &home->file) != 0)
		return errno;
	/* Its entries are those of the namespace that the thread is in when they are opened. */
	home->proc_net = open("/proc/thread-self/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static void home_close(const struct home *home)
{
	if (home->netns >= 0)
		close(home->netns);
	if (home->proc_net >= 0)
		close(home->proc_net);
}

static bool is_home(int fd, const struct home *home)
{
	struct stat file;

	return fstat(fd, &file) == 0 && file.st_dev == home->file.st_dev && file.st_ino == home->file.st_ino;
}

/* False when the thread did not come home: it must not go on. */
static bool go(struct visit *visit, const struct home *home)
{
	/* It is there already, and needs no privilege for that. */
	if (is_home(visit->fd, home)) {
		visit->err = visit->work(visit->data, home->proc_net, &visit->step);
		return true;
	}
	visit->step = "enter";
	if (setns(visit->fd, CLONE_NEWNET) != 0) {
		visit->err = errno;
		return true;
	}
	visit->err = visit->work(visit->data, home->proc_net, &visit->step);
	return setns(home->netns, CLONE_NEWNET) == 0;
}

static void *run(void *unused)
{
	struct home home = { .netns = -1, .proc_net = -1 };
	bool at_home = true;
	const char *step;
	int err;

	(void)unused;
	pthread_setname_np(pthread_self(), "jitter-netns");
	err = home_open(&home, &step);
	pthread_mutex_lock(&lock);
	while (at_home && !err) {
		while (!current || current->done)
			pthread_cond_wait(&asked, &lock);
		pthread_mutex_unlock(&lock);
		at_home = go(current, &home);
		pthread_mutex_lock(&lock);
		current->done = true;
		pthread_cond_signal(&answered);
	}
	if (err) {
		current->err = err;
		current->step = step;
		current->done = true;
		pthread_cond_signal(&answered);
	}
	/* The next visit starts another thread. */
	running = false;
	pthread_mutex_unlock(&lock);
	home_close(&home);
	return NULL;
}

static int start(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int err = pthread_attr_init(&attributes);

	if (err)
		return err;
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, &attributes, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return err;
}

int netns_visit(int fd, netns_work work, void *data, const char **step)
{
	struct visit visit = { .fd = fd, .work = work, .data = data, .step = "start a thread for" };
	int err = 0;

	pthread_mutex_lock(&turn);
	pthread_mutex_lock(&lock);
	current = &visit;
	if (!running) {
		err = start();
		running = err == 0;
	} else {
		pthread_cond_signal(&asked);
	}
	while (!err && !visit.done)
		pthread_cond_wait(&answered, &lock);
	current = NULL;
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&turn);
	*step = visit.step;
	return err ? err : visit.err;
}
