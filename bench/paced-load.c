/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paced-load SECONDS DROPS REFUSED: in a network namespace of its own with loopback up, so many datagrams a second for a socket
 * that is full and never read (packetloss, SOCKET_RCVBUFF) and so many connects a second to a closed port (tcpreset twice,
 * tcplife once), evenly in steps of 10 ms. Says {"drops":N,"refused":N}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEPS_PER_SECOND 100
#define CLOSED_PORT 81
#define DEAF_PORT 9

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(DEAF_PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timespec next;
	long steps, perSecond[2], sent[2] = { 0, 0 };
	int least = 1, deaf = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 4)
		errx(2, "usage: paced-load SECONDS DROPS REFUSED");
	steps = atol(argv[1]) * STEPS_PER_SECOND;
	perSecond[0] = atol(argv[2]);
	perSecond[1] = atol(argv[3]);
	if (setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)) || bind(deaf, (struct sockaddr *)&to, sizeof(to)))
		err(1, "bind");
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (long step = 1; step <= steps; step++) {
		to.sin_port = htons(DEAF_PORT);
		for (; sent[0] < step * perSecond[0] / STEPS_PER_SECOND; sent[0]++)
			sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
		to.sin_port = htons(CLOSED_PORT);
		for (; sent[1] < step * perSecond[1] / STEPS_PER_SECOND; sent[1]++) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);

			if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
				err(1, "connect");
			close(fd);
		}
		next.tv_nsec += 1000000000L / STEPS_PER_SECOND;
		if (next.tv_nsec >= 1000000000L) {
			next.tv_nsec -= 1000000000L;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	printf("{\"drops\":%ld,\"refused\":%ld}\n", sent[0], sent[1]);
	return 0;
}
