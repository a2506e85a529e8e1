/* SPDX-License-Identifier: Apache-2.0 */
/* churn traffic N PATH...: in the i-th network namespace 5 + (N + i) % 20 datagrams and 3 + (N + i) % 7 connects to closed
 * ports of loopback, over IPv4 and IPv6.
 * churn read PATH...: prints /proc/net/{snmp,netstat,snmp6} of each, each behind a line "@PATH NAME". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

static void knock(const struct sockaddr *address, socklen_t size, int type, int count)
{
	for (int i = 0; i < count; i++) {
		int fd = socket(address->sa_family, type, 0);

		if (fd < 0)
			err(1, "socket");
		if (connect(fd, address, size) == 0)
			(void)!write(fd, "x", 1);
		close(fd);
	}
}

static void traffic(int seed)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(81), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(81), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		err(1, "lo");
	close(fd);
	knock((struct sockaddr *)&v4, sizeof(v4), SOCK_DGRAM, 5 + seed % 20);
	knock((struct sockaddr *)&v6, sizeof(v6), SOCK_DGRAM, 5 + seed % 20);
	knock((struct sockaddr *)&v4, sizeof(v4), SOCK_STREAM, 3 + seed % 7);
	knock((struct sockaddr *)&v6, sizeof(v6), SOCK_STREAM, 3 + seed % 7);
}

static void print(const char *path, const char *name)
{
	char file[64], bytes[65536];
	FILE *in;
	size_t got;

	snprintf(file, sizeof(file), "/proc/self/net/%s", name);
	in = fopen(file, "r");
	if (!in)
		err(1, "%s", file);
	printf("@%s %s\n", path, name);
	while ((got = fread(bytes, 1, sizeof(bytes), in)) > 0)
		fwrite(bytes, 1, got, stdout);
	fclose(in);
}

int main(int argc, char **argv)
{
	bool reads = argc > 1 && strcmp(argv[1], "read") == 0;

	for (int i = reads ? 2 : 3; i < argc; i++) {
		enter(argv[i]);
		if (!reads) {
			traffic(atoi(argv[2]) + i);
			continue;
		}
		print(argv[i], "snmp");
		print(argv[i], "netstat");
		print(argv[i], "snmp6");
	}
	return 0;
}
