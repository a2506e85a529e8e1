/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood <seconds> <port>: connects to a closed port of 127.0.0.1 as fast as one core can, without waiting. Says
 * {"connects":N,"refused":N,"other":N,"seconds":S}: both resets of a refused connect, the sent and the received one,
 * happen within connect(2), because loopback packets are handled on the sending CPU.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned long connects = 0, refused = 0, other = 0;
	double start = now(), end;

	if (argc != 3)
		return 2;
	end = start + atof(argv[1]);
	to.sin_port = htons(atoi(argv[2]));
	while ((connects & 255) || now() < end) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		int error = 0;
		socklen_t length = sizeof(error);

		if (fd < 0) {
			perror("socket");
			return 1;
		}
		connects++;
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
			error = 0;
		else if (errno != EINPROGRESS)
			error = errno;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error == ECONNREFUSED)
			refused++;
		else
			other++;
		close(fd);
	}
	printf("{\"connects\":%lu,\"refused\":%lu,\"other\":%lu,\"seconds\":%.3f}\n", connects, refused, other, now() - start);
	return 0;
}
