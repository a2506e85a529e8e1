/* SPDX-License-Identifier: Apache-2.0 */
/* hold-sockets N path...: N TCP sockets in each network namespace, half of them connected to the other half, a byte
 * over each connection twice a second, until standard input ends. Says "ready". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int listening(int family, const void *address, socklen_t size)
{
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, address, size) || listen(fd, 64))
		err(1, "listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9090) };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	int pairs = argc > 1 ? (atoi(argv[1]) - 2) / 2 : 0, count = 0;
	int *ends = calloc((size_t)(argc * pairs * 2 + 1), sizeof(*ends));

	for (int i = 2; i < argc; i++) {
		int net = open(argv[i], O_RDONLY), server;

		if (net < 0 || setns(net, CLONE_NEWNET))
			err(1, "%s", argv[i]);
		close(net);
		server = listening(AF_INET, &v4, sizeof(v4));
		listening(AF_INET6, &v6, sizeof(v6));
		for (int pair = 0; pair < pairs; pair++) {
			int client = socket(AF_INET, SOCK_STREAM, 0);

			if (client < 0 || connect(client, (struct sockaddr *)&v4, sizeof(v4)))
				err(1, "connect");
			ends[count++] = client;
			ends[count++] = accept(server, NULL, NULL);
		}
	}
	puts("ready");
	fflush(stdout);
	while (poll(&input, 1, 500) == 0) {
		char byte = 'x';

		for (int i = 0; i + 1 < count; i += 2)
			if (write(ends[i], &byte, 1) != 1 || read(ends[i + 1], &byte, 1) != 1)
				err(1, "a connection broke");
	}
	return 0;
}
