/* redis.c -- answers of Redis servers and of a cluster's nodes, and what Sentinels say of themselves. */
#include <string.h>

#include "adapters/redis/link.h"
#include "adapters/redis/red.h"
#include "adapters/redis/sentinels.h"
#include "adapters/redis_cluster/cluster.h"
#include "base/mem.h"
#include "fuzz.h"

typedef void taker(struct red_state *s, const redisReply *r, unsigned which);
static taker take, take_of_node;

enum { JUDGES = 11 };
static const struct dialect {
	taker *take;
	red_judge *judge[JUDGES];
} single = { take, { red_judge_probe, red_judge_probe_write, red_judge_frozen, red_judge_following, red_judge_writable,
		     red_judge_sync_set, red_judge_compared, red_judge_closed, red_judge_fit, red_judge_signed,
		     red_judge_tended } },
  clustered = { take_of_node, { redc_judge_probe, redc_judge_probe_write, redc_judge_frozen, redc_judge_following,
				redc_judge_writable, redc_judge_sync_set, redc_judge_compared, redc_judge_closed, redc_judge_fit,
				redc_judge_signed, red_judge_tended } };

static bool ends(const char *s, size_t cap)
{
	return memchr(s, '\0', cap) != NULL;
}

static void take(struct red_state *s, const redisReply *r, unsigned which)
{
	const struct dr_address server = { "10.0.0.1", 6379 };
	char name[RED_NAME_MAX];
	if (red_read_watched(r, &server, name))
		FUZZ_CHECK(name[0] != '\0' && ends(name, sizeof(name)));
	if (r->type == REDIS_REPLY_STRING)
		red_read_info(s, r->str);
	else if (which % 2 == 0)
		red_read_lineage(s, r);
	else
		red_read_brake(s, r);
	(void)red_refusal(r);
}

/* INFO comes first, and then what is asked of a node, in turn. */
static void take_of_node(struct red_state *s, const redisReply *r, unsigned which)
{
	const struct dr_op_args args = { .primary_at = { "10.0.0.1", 6379 } };
	if (which % 5 == 0 && r->type == REDIS_REPLY_STRING)
		red_read_info(s, r->str);
	else if (which % 5 != 0)
		redc_take(s, which % 5 - 1, r, &args);
	(void)red_refusal(r);
}

/* Whatever a server says of itself, each op knows what to do, and says it within its bounds. */
static void judge(const struct dialect *d, const struct red_state *mine, const struct red_state *source)
{
	const struct dr_op_args args = { .epoch = 4, .primary_at = { "10.0.0.1", 6379 }, .k = 1 };
	struct dr_target target = { .ca_file = "/ca" };
	(void)dr_name_set(&target.member, "rd-a");
	(void)dr_name_set(&target.service, "sessions");
	for (size_t i = 0; i < JUDGES; i++) {
		struct red_todo t = { .verdict = RED_FAIL };
		const struct red_sight sight = { .args = &args, .target = &target, .replication_secret = "x", .mine = mine,
						 .source = source };
		dr_buf_init(&t.commands, RED_BYTES_MAX);
		d->judge[i](&sight, &t);
		FUZZ_CHECK(dr_buf_ok(&t.commands) && ends(t.text, sizeof(t.text)));
		FUZZ_CHECK((t.verdict == RED_DO) == (t.count > 0));
		FUZZ_CHECK(t.verdict != RED_FAIL || t.code != DR_OK);
		dr_buf_close(&t.commands);
	}
}

static void hello(const uint8_t *p, size_t n)
{
	struct red_sentinel s;
	char *text = fuzz_text(p, n);
	if (red_read_hello(text, &s))
		FUZZ_CHECK(s.at.port != 0 && s.at.host[0] != '\0' && s.name[0] != '\0' && ends(s.name, sizeof(s.name)));
	dr_free(text);
}

static void fuzz(const struct dialect *d, uint8_t first, const uint8_t *p, size_t n)
{
	static struct red_state state[2];
	struct dr_evidence ev = { .reached = false };
	struct dr_error e;
	void *reply = NULL;
	unsigned which = 0;
	memset(state, 0, sizeof(state));
	redisReader *r = red_reader();
	if (redisReaderFeed(r, (const char *)p, n) == REDIS_OK) {
		while (which < 64 && redisReaderGetReply(r, &reply) == REDIS_OK && reply != NULL) {
			const redisReply *one = reply;
			d->take(&state[first % 2], one, which++);
			if (one->type == REDIS_REPLY_ERROR)
				FUZZ_CHECK(red_error(one->str, &e) != DR_OK);
			freeReplyObject(reply);
			reply = NULL;
		}
	}
	redisReaderFree(r);
	for (int i = 0; i < 2; i++) {
		red_place(&state[i]);
		FUZZ_CHECK(ends(state[i].id, sizeof(state[i].id)) && ends(state[i].source.host, sizeof(state[i].source.host)));
		FUZZ_CHECK(ends(state[i].nodes.wanted, RED_NODE_ID_MAX) && state[i].nodes.covered <= RED_SLOTS);
		FUZZ_CHECK(state[i].nodes.masters_heard <= state[i].nodes.masters_there);
	}
	red_tell(&state[0], &ev);
	judge(d, &state[0], NULL);
	judge(d, &state[1], &state[0]);
}

void fuzz_redis(const uint8_t *p, size_t n)
{
	uint8_t first = fuzz_first(&p, &n);
	if (first % 4 == 3)
		hello(p, n);
	else
		fuzz(&single, first, p, n);
}

void fuzz_rediscluster(const uint8_t *p, size_t n)
{
	uint8_t first = fuzz_first(&p, &n);
	fuzz(&clustered, first, p, n);
}
