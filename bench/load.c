/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request/response and connect/close over TCP between two network namespaces, in windows: load CLIENT_NETNS SERVER_NETNS
 * SERVER_IPV4 rr|crr. For each line with a number of ms on stdin it runs that long and prints {"ops":N,"cpuNs":N}: operations,
 * and the CPU time of client and server.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 7000
#define SIZE 100
/* The clock is read once in so many operations of a connection. */
#define PER_LOOK 8

static char message[SIZE];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		fail("clock_gettime");
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail(path);
	close(fd);
}

static int receive(int fd)
{
	char buffer[SIZE];

	for (ssize_t got = 0, n; got < SIZE; got += n)
		if ((n = recv(fd, buffer, SIZE - got, 0)) <= 0)
			return 0;
	return 1;
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Answers one connection after the other. It closes first, so that TIME_WAIT is on its side. */
static void serve(int ready)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 128))
		fail("listen");
	close(ready);
	for (;;) {
		int fd = accept(listener, 0, 0);
		char mode = 0;

		if (fd < 0)
			fail("accept");
		no_delay(fd);
		if (recv(fd, &mode, 1, MSG_PEEK) == 1)
			while (receive(fd) && send(fd, message, SIZE, 0) == SIZE && mode == 'r')
				;
		close(fd);
	}
}

static int connected(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		fail("connect");
	no_delay(fd);
	return fd;
}

static void exchange(int fd)
{
	if (send(fd, message, SIZE, 0) != SIZE || !receive(fd))
		fail("exchange");
}

static long request_response(int fd, long long until)
{
	long ops = 0;

	do
		for (int i = 0; i < PER_LOOK; i++, ops++)
			exchange(fd);
	while (now(CLOCK_MONOTONIC) < until);
	return ops;
}

static long connect_close(const struct sockaddr_in *to, long long until)
{
	long ops = 0;

	do {
		int fd = connected(to);
		char end;

		exchange(fd);
		while (recv(fd, &end, 1, 0) > 0)
			;
		close(fd);
		ops++;
	} while (now(CLOCK_MONOTONIC) < until);
	return ops;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int ready[2], fd = -1, rr;
	clockid_t server_clock;
	char line[64], none;
	pid_t server;

	if (argc != 5 || inet_pton(AF_INET, argv[3], &to.sin_addr) != 1 || (strcmp(argv[4], "rr") && strcmp(argv[4], "crr"))) {
		fprintf(stderr, "usage: load CLIENT_NETNS SERVER_NETNS SERVER_IPV4 rr|crr\n");
		return 2;
	}
	rr = !strcmp(argv[4], "rr");
	memset(message, rr ? 'r' : 'c', SIZE);
	if (pipe(ready) || (server = fork()) < 0)
		fail("fork");
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter(argv[2]);
		close(ready[0]);
		serve(ready[1]);
	}
	close(ready[1]);
	enter(argv[1]);
	if (read(ready[0], &none, 1) < 0 || clock_getcpuclockid(server, &server_clock))
		fail("server");
	if (rr)
		fd = connected(&to);
	while (fgets(line, sizeof(line), stdin)) {
		long long cpu = now(CLOCK_PROCESS_CPUTIME_ID) + now(server_clock);
		long long until = now(CLOCK_MONOTONIC) + atoll(line) * 1000000;
		long ops = rr ? request_response(fd, until) : connect_close(&to, until);

		printf("{\"ops\":%ld,\"cpuNs\":%lld}\n", ops, now(CLOCK_PROCESS_CPUTIME_ID) + now(server_clock) - cpu);
		fflush(stdout);
	}
	kill(server, SIGKILL);
	waitpid(server, 0, 0);
	return 0;
}
