/* writer.c -- the lab's client: inserts numbered rows and writes down what was acknowledged, and when.
 *
 * It is the measure of every fault, so it is stricter than an application:
 * - a row counts as acknowledged only when the server is ready for the next query after its commit, and
 *   no warning came with it (a cancelled wait for a standby commits with a warning: no promise);
 * - a connection that has been silent for a second is closed, its row's outcome unknown;
 * - it reconnects at once, and gives up a connect that TCP doesn't answer within 200 ms, since the
 *   kernel's own retries (1 s, 3 s, ...) would be measured as downtime.
 *
 * It finds the server by a fixed address, or by a name that it asks the given DNS servers for, at each
 * connect and once a second; a name that moved ends the connection.  With --watch-dns it writes no rows,
 * only each server's answers as they change.
 *
 * One line an outcome, times in nanoseconds of CLOCK_BOOTTIME (written at once: the program may be killed):
 *   a SENT DONE N SERVER          acknowledged
 *   e SENT DONE N SERVER SQLSTATE refused
 *   u SENT DONE N SERVER WHY      unknown: silence, lost, warning, moved
 *   c SENT DONE 0 SERVER WHY      connected (ok), or not
 *   d SENT DONE 0 SERVER ADDRESS  DNS server's answer changed; "-" is silence
 * One thread, one poll loop; every wait has a deadline. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "db.h"
#include "dnsq.h"

#define MS 1000000LL
#define TICK (10 * MS)
#define TCP_WAIT (200 * MS)
#define SILENCE (1000 * MS)
#define BACKOFF (10 * MS)
#define DNS_WAIT (100 * MS)
#define DNS_EVERY (1000 * MS)
#define WATCH_EVERY (20 * MS)
#define DNS_SERVERS 4

enum phase { IDLE, RESOLVING, CONNECTING, READY, WAITING };

struct dns_server {
	struct sockaddr_in at;
	char text[INET_ADDRSTRLEN];
	uint32_t answer;
	int64_t heard;
};

struct writer {
	/* what it was told */
	unsigned id;
	const char *name;
	const char *conninfo;
	char port[8];
	bool watch_dns;
	struct dns_server dns[DNS_SERVERS];
	int dns_servers;

	/* what it is doing */
	FILE *out;
	struct db db;
	enum phase phase;
	char server[INET_ADDRSTRLEN];
	uint64_t n;
	int64_t since;   /* when the phase's request was sent */
	int64_t next;    /* when to act again in IDLE and READY */

	/* the name */
	int dns_fd;
	uint16_t dns_id;
	int64_t dns_sent;
	int64_t dns_next;
	bool dns_asked;
};

static volatile sig_atomic_t stopping;

static void on_stop(int sig)
{
	(void)sig;
	stopping = 1;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void record(struct writer *w, char what, int64_t sent, uint64_t n, const char *server, const char *why)
{
	fprintf(w->out, "%c %lld %lld %llu %s %s\n", what, (long long)sent, (long long)now_ns(),
		(unsigned long long)n, server, why);
}

/* Leave the connection, whatever its state, and try again soon. */
static void drop(struct writer *w, const char *why)
{
	if (w->phase == WAITING)
		record(w, 'u', w->since, w->n, w->server, why);
	else if (w->phase == CONNECTING)
		record(w, 'c', w->since, 0, w->server, why);
	w->db.kind->close(&w->db);
	w->phase = IDLE;
	w->next = now_ns() + BACKOFF;
}

/* --- the name ------------------------------------------------------------------------------- */

static void dns_ask(struct writer *w, int64_t now)
{
	uint8_t msg[DNSQ_MSG_MAX];
	w->dns_id = (uint16_t)(w->dns_id + 1);
	size_t len = dnsq_build(w->dns_id, w->name, msg);
	w->dns_sent = now;
	w->dns_next = now + (w->watch_dns ? WATCH_EVERY : DNS_EVERY);
	w->dns_asked = true;
	for (int i = 0; i < w->dns_servers; i++) {
		const struct sockaddr *to = (const struct sockaddr *)&w->dns[i].at;
		ssize_t sent = sendto(w->dns_fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL, to, sizeof(w->dns[i].at));
		(void)sent; /* an unreachable server is a silent one */
	}
}

static void watch_answer(struct writer *w, struct dns_server *s, uint32_t addr)
{
	char text[INET_ADDRSTRLEN] = "-";
	if (addr != 0)
		inet_ntop(AF_INET, &addr, text, sizeof(text));
	if (addr != s->answer)
		record(w, 'd', w->dns_sent, 0, s->text, text);
	s->answer = addr;
}

/* The first answer to a question counts, as with a resolver that asks all its servers at once. */
static void name_answer(struct writer *w, uint32_t addr)
{
	char text[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, &addr, text, sizeof(text));
	w->dns_asked = false;
	if (w->db.conn != NULL && strcmp(text, w->server) != 0)
		drop(w, "moved");
	memcpy(w->server, text, sizeof(text));
	if (w->phase == RESOLVING) {
		w->phase = IDLE;
		w->next = 0;
	}
}

static struct dns_server *dns_find(struct writer *w, const struct sockaddr_in *from)
{
	for (int i = 0; i < w->dns_servers; i++)
		if (w->dns[i].at.sin_addr.s_addr == from->sin_addr.s_addr && w->dns[i].at.sin_port == from->sin_port)
			return &w->dns[i];
	return NULL;
}

static void dns_read(struct writer *w)
{
	uint8_t msg[DNSQ_MSG_MAX];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n;
	while ((n = recvfrom(w->dns_fd, msg, sizeof(msg), MSG_DONTWAIT, (struct sockaddr *)&from, &size)) >= 0) {
		struct dns_server *s = dns_find(w, &from);
		uint32_t addr = 0;
		if (s == NULL || dnsq_parse(w->dns_id, msg, (size_t)n, &addr) < 0)
			continue;
		s->heard = now_ns();
		if (w->watch_dns)
			watch_answer(w, s, addr);
		else if (w->dns_asked && addr != 0)
			name_answer(w, addr);
	}
}

static void watch_silence(struct writer *w, int64_t now)
{
	for (int i = 0; i < w->dns_servers; i++)
		if (now - w->dns[i].heard > SILENCE)
			watch_answer(w, &w->dns[i], 0);
}

/* --- the connection ------------------------------------------------------------------------- */

static void connect_start(struct writer *w, int64_t now)
{
	w->db = (struct db){ .kind = w->db.kind };
	w->phase = CONNECTING;
	w->since = now;
	if (!w->db.kind->start(&w->db, w->conninfo, w->server, w->port))
		drop(w, "refused");
}

static void insert(struct writer *w, int64_t now)
{
	w->n++;
	w->since = now;
	w->next = now + TICK;
	w->db.warned = false;
	w->db.sqlstate[0] = '\0';
	w->phase = WAITING;
	if (!w->db.kind->insert(&w->db, w->id, w->n))
		drop(w, "lost");
}

static void finished(struct writer *w)
{
	const char *state = w->db.sqlstate;
	if (w->phase == CONNECTING) {
		record(w, 'c', w->since, 0, w->server, state[0] == '\0' ? "ok" : state);
		w->phase = READY;
		if (state[0] != '\0')
			drop(w, "prepare");
		return;
	}
	if (w->phase != WAITING)
		return;
	if (state[0] != '\0')
		record(w, 'e', w->since, w->n, w->server, state);
	else
		record(w, w->db.warned ? 'u' : 'a', w->since, w->n, w->server, w->db.warned ? "warning" : "");
	w->phase = READY;
}

static void go_on(struct writer *w, short revents)
{
	switch (w->db.kind->go_on(&w->db, revents)) {
	case DB_WAIT: break;
	case DB_READY: finished(w); break;
	case DB_REFUSED: drop(w, "refused"); break;
	case DB_FAILED: drop(w, "failed"); break;
	case DB_LOST: drop(w, "lost"); break;
	}
}

/* --- the loop ------------------------------------------------------------------------------- */

/* When the present phase gives up or acts next. */
static int64_t due(const struct writer *w)
{
	switch (w->phase) {
	case IDLE:
	case READY:
		return w->next;
	case RESOLVING:
		return w->dns_sent + DNS_WAIT;
	case CONNECTING:
		return w->since + (w->db.tcp_done ? SILENCE : TCP_WAIT);
	case WAITING:
		return w->since + SILENCE;
	}
	return 0;
}

/* A name is asked for anew at each connect: ask, and connect when the answer is there. */
static void begin(struct writer *w, int64_t now)
{
	bool fresh = w->server[0] != '\0' && !w->dns_asked && now - w->dns_sent < DNS_WAIT;
	if (w->name == NULL || fresh) {
		connect_start(w, now);
		return;
	}
	dns_ask(w, now);
	w->phase = RESOLVING;
}

static void act(struct writer *w, int64_t now)
{
	if (w->name != NULL && now >= w->dns_next && w->phase != RESOLVING)
		dns_ask(w, now);
	if (w->watch_dns) {
		watch_silence(w, now);
		return;
	}
	if (now < due(w))
		return;
	if (w->phase == IDLE)
		begin(w, now);
	else if (w->phase == RESOLVING)
		dns_ask(w, now);
	else if (w->phase == READY)
		insert(w, now);
	else
		drop(w, w->phase == CONNECTING && !w->db.tcp_done ? "timeout" : "silence");
}

static int wait_ms(const struct writer *w, int64_t now)
{
	int64_t at = w->watch_dns ? w->dns_next : due(w);
	if (w->name != NULL && w->dns_next < at)
		at = w->dns_next;
	return at <= now ? 0 : (int)((at - now + MS - 1) / MS);
}

static void turn(struct writer *w)
{
	struct pollfd fds[2] = {{.fd = -1}, {.fd = w->dns_fd, .events = POLLIN}};
	if (w->db.conn != NULL) {
		fds[0].fd = w->db.kind->fd(&w->db);
		fds[0].events = w->phase == READY && w->db.kind == &db_mysql ? POLLIN : w->db.kind->events(&w->db);
	}
	if (poll(fds, 2, wait_ms(w, now_ns())) > 0) {
		if (fds[1].revents != 0)
			dns_read(w);
		/* dns_read may have ended the connection that was polled. */
		if (fds[0].revents != 0 && w->db.conn != NULL && w->db.kind->fd(&w->db) == fds[0].fd)
			go_on(w, fds[0].revents);
	}
	act(w, now_ns());
}

/* "HOST:PORT,HOST:PORT"; false when one is not an address. */
static bool read_dns_servers(struct writer *w, char *list)
{
	char *rest = NULL;
	for (char *s = strtok_r(list, ",", &rest); s != NULL; s = strtok_r(NULL, ",", &rest)) {
		char host[DR_HOST_MAX];
		uint16_t port;
		struct dns_server *d = &w->dns[w->dns_servers];
		if (w->dns_servers == DNS_SERVERS || dr_parse_host_port(s, host, &port) != DR_OK)
			return false;
		d->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		if (inet_pton(AF_INET, host, &d->at.sin_addr) != 1)
			return false;
		dr_copy_text(d->text, sizeof(d->text), host);
		w->dns_servers++;
	}
	return w->dns_servers > 0;
}

static bool read_address(struct writer *w, const char *text)
{
	char host[DR_HOST_MAX];
	uint16_t port;
	if (dr_parse_host_port(text, host, &port) != DR_OK)
		return false;
	snprintf(w->port, sizeof(w->port), "%u", (unsigned)port);
	return dr_copy_text(w->server, sizeof(w->server), host);
}

static bool find_kind(struct writer *w, const char *name)
{
	static const struct db_kind *const kinds[] = { &db_postgres, &db_mysql, &db_redis };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(name, kinds[i]->name) != 0)
			continue;
		w->db.kind = kinds[i];
		return true;
	}
	return false;
}

static bool read_option(struct writer *w, int c)
{
	uint64_t v;
	switch (c) {
	case 'i':
		if (dr_parse_u64(optarg, 1, 1000, &v) != DR_OK)
			return false;
		w->id = (unsigned)v;
		return true;
	case 'a':
		return read_address(w, optarg);
	case 'p':
		return dr_copy_text(w->port, sizeof(w->port), optarg);
	case 'k':
		return find_kind(w, optarg);
	case 'n':
		w->name = optarg;
		return true;
	case 'd':
		return read_dns_servers(w, optarg);
	case 'c':
		w->conninfo = optarg;
		return true;
	case 'o':
		w->out = fopen(optarg, "we");
		return w->out != NULL;
	case 'w':
		w->watch_dns = true;
		return true;
	default:
		return false;
	}
}

static bool read_options(struct writer *w, int argc, char **argv)
{
	static const struct option options[] = {
		{"id", required_argument, NULL, 'i'},       {"address", required_argument, NULL, 'a'},
		{"port", required_argument, NULL, 'p'},     {"name", required_argument, NULL, 'n'},
		{"dns", required_argument, NULL, 'd'},      {"conninfo", required_argument, NULL, 'c'},
		{"kind", required_argument, NULL, 'k'},
		{"log", required_argument, NULL, 'o'},      {"watch-dns", no_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	uint8_t probe[DNSQ_MSG_MAX];
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!read_option(w, c))
			return false;
	if (w->out == NULL || optind != argc)
		return false;
	if (w->name == NULL)
		return w->server[0] != '\0' && !w->watch_dns;
	return w->dns_servers > 0 && dnsq_build(0, w->name, probe) > 0;
}

int main(int argc, char **argv)
{
	struct writer w = {.id = 1, .conninfo = "", .dns_fd = -1, .port = "5432", .db = {.kind = &db_postgres}};
	struct sigaction stop = {.sa_handler = on_stop};
	if (!read_options(&w, argc, argv)) {
		fputs("usage: dr_lab_writer --log FILE [--id N] [--kind postgres|mysql|redis] [--conninfo TEXT] [--port P]\n"
		      "         (--address H:P | --name NAME --dns H:P,H:P [--watch-dns])\n",
		      stderr);
		return 2;
	}
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	setvbuf(w.out, NULL, _IOLBF, 4096);
	w.dns_id = (uint16_t)getpid();
	w.dns_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (w.dns_fd < 0) {
		fprintf(stderr, "dr_lab_writer: socket: %s\n", strerror(errno));
		return 1;
	}
	/* The row in flight at the end gets its answer: it may have been acknowledged. */
	while (!stopping || w.phase == WAITING)
		turn(&w);
	w.db.kind->close(&w.db);
	close(w.dns_fd);
	return fclose(w.out) == 0 ? 0 : 1;
}
