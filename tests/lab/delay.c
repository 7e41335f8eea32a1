/* delay.c -- dr_lab_delay MS QUEUE: packets that iptables sends to a queue of its network namespace go on MS later.
 *
 * The kernel of a test machine may have no netem.  A packet waits in the kernel; here is only the list of those that
 * wait, in the order of their coming.  With more than it has room for, or when this program ends (the rule says
 * --queue-bypass), they go on at once. */
#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { WAITING_MAX = 16384, BYTES = 65536 };

struct waiting {
	uint32_t id;
	int64_t due_us;
};

struct line {
	struct waiting w[WAITING_MAX];
	uint32_t first, n;
	int64_t delay_us;
};

static int64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int on_packet(struct nfq_q_handle *q, struct nfgenmsg *g, struct nfq_data *data, void *ctx)
{
	struct line *l = ctx;
	struct nfqnl_msg_packet_hdr *h = nfq_get_msg_packet_hdr(data);

	(void)g;
	if (h == NULL)
		return 0;
	if (l->n == WAITING_MAX)
		return nfq_set_verdict(q, ntohl(h->packet_id), NF_ACCEPT, 0, NULL);
	l->w[(l->first + l->n++) % WAITING_MAX] = (struct waiting){ ntohl(h->packet_id), now_us() + l->delay_us };
	return 0;
}

/* Let go what is due; for how many ms nothing more is, -1: nothing waits. */
static int release(struct nfq_q_handle *q, struct line *l)
{
	while (l->n > 0 && l->w[l->first].due_us <= now_us()) {
		(void)nfq_set_verdict(q, l->w[l->first].id, NF_ACCEPT, 0, NULL);
		l->first = (l->first + 1) % WAITING_MAX;
		l->n--;
	}
	return l->n == 0 ? -1 : (int)((l->w[l->first].due_us - now_us()) / 1000 + 1);
}

static bool take_in(struct nfq_handle *h)
{
	static char bytes[BYTES];
	ssize_t n = recv(nfq_fd(h), bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == ENOBUFS || errno == EINTR;
	(void)nfq_handle_packet(h, bytes, (int)n);
	return true;
}

static int run(struct nfq_handle *h, struct nfq_q_handle *q, struct line *l)
{
	struct pollfd p = { .fd = nfq_fd(h), .events = POLLIN };

	(void)nfq_set_mode(q, NFQNL_COPY_META, 0);
	(void)nfq_set_queue_maxlen(q, WAITING_MAX);
	(void)nfq_set_queue_flags(q, NFQA_CFG_F_FAIL_OPEN, NFQA_CFG_F_FAIL_OPEN);
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;) {
		if (poll(&p, 1, release(q, l)) < 0 && errno != EINTR)
			return 1;
		if ((p.revents & POLLIN) != 0 && !take_in(h))
			return 1;
	}
}

int main(int argc, char **argv)
{
	static struct line l;
	long ms = argc == 3 ? strtol(argv[1], NULL, 10) : 0, number = argc == 3 ? strtol(argv[2], NULL, 10) : -1;
	struct nfq_handle *h = NULL;
	struct nfq_q_handle *q = NULL;

	if (ms < 1 || ms > 10000 || number < 0 || number > 65535) {
		(void)fprintf(stderr, "usage: dr_lab_delay MS QUEUE (1 to 10000, 0 to 65535)\n");
		return 2;
	}
	l.delay_us = ms * 1000;
	h = nfq_open();
	if (h != NULL)
		q = nfq_create_queue(h, (uint16_t)number, on_packet, &l);
	if (q == NULL) {
		perror("dr_lab_delay: the queue of packets");
		return 1;
	}
	return run(h, q, &l);
}
