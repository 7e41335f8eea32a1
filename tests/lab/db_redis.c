/* db_redis.c -- see db.h: Redis and Valkey, a set of numbers for each writer; hiredis is the codec.  conninfo ends the keys:
 * of a Redis Cluster a tag that leads them to one shard. */
#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"
#include "db.h"

struct conn {
	int fd;
	bool connected;
	redisReader *reader;
	const char *tag;
};

static void close_conn(struct db *d)
{
	struct conn *c = d->conn;
	if (c == NULL)
		return;
	redisReaderFree(c->reader);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
	d->conn = NULL;
}

static bool start(struct db *d, const char *conninfo, const char *host, const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct conn *c = calloc(1, sizeof(*c));
	uint64_t number = 0;
	int on = 1;
	if (c == NULL || dr_parse_u64(port, 1, UINT16_MAX, &number) != DR_OK || inet_pton(AF_INET, host, &at.sin_addr) != 1) {
		free(c);
		return false;
	}
	d->conn = c;
	c->tag = conninfo;
	at.sin_port = htons((uint16_t)number);
	c->reader = redisReaderCreate();
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || c->reader == NULL)
		return false;
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return connect(c->fd, (const struct sockaddr *)&at, sizeof(at)) == 0 || errno == EINPROGRESS;
}

static int fd(const struct db *d)
{
	const struct conn *c = d->conn;
	return c != NULL ? c->fd : -1;
}

static short events(struct db *d)
{
	const struct conn *c = d->conn;
	return c->connected ? POLLIN : POLLOUT;
}

static enum db_step connected(struct db *d)
{
	struct conn *c = d->conn;
	int err = 0;
	socklen_t size = sizeof(err);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0 || err != 0)
		return DB_FAILED;
	c->connected = d->tcp_done = true;
	return DB_READY;
}

/* The first word of an error says what it is. */
static void answered(struct db *d, const redisReply *r)
{
	char word[6] = "";
	if (r->type != REDIS_REPLY_ERROR)
		return;
	(void)snprintf(word, sizeof(word), "%.5s", r->str);
	(void)dr_copy_text(d->sqlstate, sizeof(d->sqlstate), word[0] != '\0' ? word : "ERR");
}

static enum db_step go_on(struct db *d, short revents)
{
	struct conn *c = d->conn;
	char in[4096];
	void *reply = NULL;
	(void)revents;
	if (!c->connected)
		return connected(d);
	ssize_t n = recv(c->fd, in, sizeof(in), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return DB_WAIT;
	if (n <= 0 || redisReaderFeed(c->reader, in, (size_t)n) != REDIS_OK ||
	    redisReaderGetReply(c->reader, &reply) != REDIS_OK)
		return DB_LOST;
	if (reply == NULL)
		return DB_WAIT;
	answered(d, reply);
	freeReplyObject(reply);
	return DB_READY;
}

static bool insert(struct db *d, unsigned writer, uint64_t n)
{
	struct conn *c = d->conn;
	char *bytes = NULL;
	int len = redisFormatCommand(&bytes, "SADD drlab:row:%u%s %llu", writer, c->tag, (unsigned long long)n);
	bool sent = len > 0 && send(c->fd, bytes, (size_t)len, MSG_NOSIGNAL) == len;
	redisFreeCommand(bytes);
	return sent;
}

const struct db_kind db_redis = { .name = "redis", .port = "6379", .start = start, .fd = fd, .events = events,
				  .go_on = go_on, .insert = insert, .close = close_conn };
