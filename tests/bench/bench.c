/* bench.c -- see bench.h. */
#include "bench.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/parse.h"
#include "proto/codec.h"
#include "proto/frames.h"

enum { CONNECT_MS = 5000 };

uint64_t bench_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

_Noreturn void bench_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(2);
}

/* ---- times ---- */

void bench_add(struct bench_times *t, int64_t ns)
{
	int64_t us = ns / 1000;

	if (t->n == t->room) {
		t->room = t->room == 0 ? 65536 : 2 * t->room;
		t->us = dr_xrealloc(t->us, t->room * sizeof(*t->us));
	}
	t->us[t->n++] = us > INT32_MAX ? INT32_MAX : us < INT32_MIN ? INT32_MIN : (int32_t)us;
}

static int rising(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return x < y ? -1 : x > y;
}

void bench_sort(struct bench_times *t)
{
	if (t->n > 0)
		qsort(t->us, t->n, sizeof(*t->us), rising);
}

int32_t bench_at(const struct bench_times *t, double part)
{
	size_t at = (size_t)((double)t->n * part);

	return t->n == 0 ? 0 : t->us[at < t->n ? at : t->n - 1];
}

void bench_free(struct bench_times *t)
{
	dr_free(t->us);
	*t = (struct bench_times){ 0 };
}

/* ---- arguments ---- */

static uint32_t number(const char *name, const char *text)
{
	uint64_t n = 0;

	if (dr_parse_u64(text, 0, INT32_MAX, &n) != DR_OK)
		bench_fail("--%s %s: not a number", name, text);
	return (uint32_t)n;
}

/* Each word of a comma-separated list. */
static void each(const char *list, void (*take)(struct bench_args *a, const char *word), struct bench_args *a)
{
	char word[DR_PATH_MAX];

	while (*list != '\0') {
		size_t n = strcspn(list, ",");

		if (n >= sizeof(word))
			bench_fail("too long: %s", list);
		memcpy(word, list, n);
		word[n] = '\0';
		take(a, word);
		list += n + (list[n] == ',');
	}
}

static void take_endpoint(struct bench_args *a, const char *word)
{
	struct dr_address *at = &a->endpoint[a->endpoints];

	if (a->endpoints == BENCH_ENDPOINTS_MAX || dr_parse_host_port(word, at->host, &at->port) != DR_OK)
		bench_fail("--endpoints: %s", word);
	a->endpoints++;
}

static const char *ca; /* before --certs */

static void take_cert(struct bench_args *a, const char *word)
{
	char cert[DR_PATH_MAX + 8], key[DR_PATH_MAX + 8];
	struct dr_tls_files files = { ca, cert, key };
	struct dr_error e;

	(void)snprintf(cert, sizeof(cert), "%s.crt", word);
	(void)snprintf(key, sizeof(key), "%s.key", word);
	if (ca == NULL || a->certs == BENCH_CERTS_MAX)
		bench_fail("--ca first, then at most %d --certs", BENCH_CERTS_MAX);
	if (dr_tls_open(&a->tls[a->certs], &files, &e) != DR_OK)
		bench_fail("%s: %s", word, e.msg);
	a->certs++;
}

static uint32_t *place_of(struct bench_args *a, const char *name)
{
	const struct {
		const char *name;
		uint32_t *place;
	} known[] = {
		{ "clients", &a->clients },   { "watchers", &a->watchers }, { "spread", &a->spread },
		{ "deaf", &a->deaf },         { "every-ms", &a->every_ms }, { "warm-ms", &a->warm_ms },
		{ "run-ms", &a->run_ms },     { "gap-ms", &a->gap_ms },     { "services", &a->services },
		{ "standbys", &a->standbys }, { "vanish", &a->vanish },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name) == 0)
			return known[i].place;
	}
	return NULL;
}

static void take_text(struct bench_args *a, const char *name, const char *value)
{
	if (strcmp(name, "endpoints") == 0)
		each(value, take_endpoint, a);
	else if (strcmp(name, "certs") == 0)
		each(value, take_cert, a);
	else if (strcmp(name, "ca") == 0)
		ca = value;
	else if (strcmp(name, "cluster") == 0)
		(void)dr_copy_text(a->cluster, sizeof(a->cluster), value);
	else
		(void)dr_copy_text(a->service, sizeof(a->service), value);
}

void bench_parse(struct bench_args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "endpoints", 1, NULL, 0 }, { "ca", 1, NULL, 0 },       { "certs", 1, NULL, 0 },
		{ "cluster", 1, NULL, 0 },   { "service", 1, NULL, 0 },  { "clients", 1, NULL, 0 },
		{ "watchers", 1, NULL, 0 },  { "spread", 1, NULL, 0 },   { "deaf", 1, NULL, 0 },
		{ "every-ms", 1, NULL, 0 },  { "warm-ms", 1, NULL, 0 },  { "run-ms", 1, NULL, 0 },
		{ "gap-ms", 1, NULL, 0 },    { "services", 1, NULL, 0 }, { "standbys", 1, NULL, 0 },
		{ "vanish", 1, NULL, 0 },    { NULL, 0, NULL, 0 },
	};
	int at = 0, got;

	*a = (struct bench_args){ .spread = 1, .cluster = "demo", .service = "orders" };
	while ((got = getopt_long(argc, argv, "", options, &at)) == 0) {
		uint32_t *place = place_of(a, options[at].name);

		if (place != NULL)
			*place = number(options[at].name, optarg);
		else
			take_text(a, options[at].name, optarg);
	}
	if (got != -1)
		exit(2);
	for (; optind < argc && a->rests < 4; optind++)
		(void)dr_copy_text(a->rest[a->rests++], sizeof(a->rest[0]), argv[optind]);
	if (a->spread < 1 || a->spread > a->endpoints)
		a->spread = a->endpoints > 0 ? a->endpoints : 1;
}

void bench_close(struct bench_args *a)
{
	for (unsigned i = 0; i < a->certs; i++)
		dr_tls_close(a->tls[i]);
}

/* ---- connections ---- */

enum dr_err bench_connect(struct dr_conn *c, uv_loop_t *loop, struct dr_tls *tls, const struct dr_address *to,
			  const struct dr_conn_cbs *cbs)
{
	static const struct dr_identity want = { .kind = DR_PEER_COORDINATOR };
	struct dr_error e;

	return dr_conn_connect(c, loop, tls, to, &want, CONNECT_MS, cbs, &e);
}

void bench_greet(struct dr_conn *c, uint32_t kind, struct dr_tls *tls, const char *cluster)
{
	struct dr_greet g = { .kind = kind, .name = dr_tls_self(tls)->name, .version = DR_PROTOCOL_VERSION };
	struct dr_buf b;

	(void)dr_name_set(&g.cluster, cluster);
	dr_buf_init(&b, DR_FRAME_MAX);
	dr_greet_encode(&b, &g);
	/* A send that fails closes the connection, which is seen there. */
	(void)!dr_conn_send(c, DR_FRAME_GREET, b.data, b.len);
	dr_buf_close(&b);
}
