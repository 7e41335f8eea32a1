/* reading.c -- what a server says of itself, as values. */
#include <string.h>

#include "adapters/redis/red.h"
#include "base/parse.h"
#include "sys/clock.h"

bool red_info(const char *info, const char *key, char *dst, size_t cap)
{
	size_t n = strlen(key);

	dst[0] = '\0';
	for (const char *line = info; line != NULL && *line != '\0';) {
		const char *end = strchr(line, '\n');
		if (strncmp(line, key, n) == 0 && line[n] == ':') {
			const char *value = line + n + 1;
			size_t len = strcspn(value, "\r\n");
			if (len >= cap)
				return false;
			memcpy(dst, value, len);
			dst[len] = '\0';
			return true;
		}
		line = end != NULL ? end + 1 : NULL;
	}
	return false;
}

uint64_t red_number(const char *text)
{
	uint64_t v = 0;
	return dr_parse_u64(text, 0, UINT64_MAX, &v) == DR_OK ? v : 0;
}

static uint64_t number(const char *info, const char *key)
{
	char text[24];
	return red_info(info, key, text, sizeof(text)) ? red_number(text) : 0;
}

static bool is(const char *info, const char *key, const char *value)
{
	char text[32];
	return red_info(info, key, text, sizeof(text)) && strcmp(text, value) == 0;
}

/* "7.0.15" to 70015. */
static uint32_t version_number(const char *text)
{
	uint32_t part[3] = { 0 };
	for (int i = 0; i < 3; i++) {
		while (*text >= '0' && *text <= '9' && part[i] < 1000)
			part[i] = part[i] * 10 + (uint32_t)(*text++ - '0');
		if (*text++ != '.')
			break;
	}
	return part[0] * 10000 + part[1] * 100 + part[2];
}

/* "db0:keys=1,..." and the like: an empty database has no such line. */
static bool has_keys(const char *info)
{
	for (const char *line = info; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n' ? 1 : 0;
		if (strncmp(line, "db", 2) == 0 && line[2] >= '0' && line[2] <= '9')
			return true;
	}
	return false;
}

static void read_source(struct red_state *s, const char *info)
{
	uint64_t port = number(info, "master_port");

	s->linked = is(info, "master_link_status", "up");
	s->syncing = is(info, "master_sync_in_progress", "1");
	(void)red_info(info, "master_host", s->source.host, sizeof(s->source.host));
	s->source.port = port <= UINT16_MAX ? (uint16_t)port : 0;
	s->nowhere = port == RED_NOWHERE_PORT && strcmp(s->source.host, RED_NOWHERE_HOST) == 0;
}

void red_read_info(struct red_state *s, const char *info)
{
	char version[32];

	s->valkey = red_info(info, "valkey_version", version, sizeof(version));
	if (!s->valkey)
		(void)red_info(info, "redis_version", version, sizeof(version));
	s->version = version_number(version);
	s->cluster = is(info, "cluster_enabled", "1");
	s->replica = is(info, "role", "slave");
	s->empty = !has_keys(info);
	if (s->replica)
		read_source(s, info);
	(void)red_info(info, "master_replid", s->id, sizeof(s->id));
	(void)red_info(info, "master_replid2", s->id_before, sizeof(s->id_before));
	s->offset = number(info, "master_repl_offset");
	s->offset_before = number(info, "second_repl_offset"); /* -1 where there was none */
	s->replicas = number(info, "connected_slaves");
	s->uptime_s = number(info, "uptime_in_seconds");
	s->appends = is(info, "aof_enabled", "1");
}

const char *red_text(const redisReply *r)
{
	return r != NULL && r->type == REDIS_REPLY_STRING ? r->str : "";
}

const char *red_value(const redisReply *pairs, const char *key)
{
	for (size_t i = 0; pairs->type == REDIS_REPLY_ARRAY && i + 1 < pairs->elements; i += 2) {
		if (strcmp(red_text(pairs->element[i]), key) == 0)
			return red_text(pairs->element[i + 1]);
	}
	return "";
}

uint64_t red_identity(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t v = 0;

	for (int i = 0; i < RED_IDENTITY_DIGITS; i++) {
		const char *d = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
		if (d == NULL)
			return 0;
		v = v << 4 | (uint64_t)(d - digits);
	}
	return v;
}

void red_read_lineage(struct red_state *s, const redisReply *hash)
{
	struct red_lineage *l = &s->lineage;
	const char *closed = red_value(hash, "closed");

	*l = (struct red_lineage){ .epoch = red_number(red_value(hash, "epoch")), .identity = red_identity(red_value(hash, "id")),
				   .at = red_number(red_value(hash, "at")), .closed = closed[0] != '\0',
				   .closed_at = red_number(closed) };
	l->there = l->epoch > 0 && l->epoch <= UINT32_MAX;
	(void)dr_copy_text(l->member, sizeof(l->member), red_value(hash, "member"));
	(void)dr_copy_text(l->origin, sizeof(l->origin), red_value(hash, "origin"));
}

static uint32_t u32(const char *text)
{
	uint64_t v = red_number(text);
	return v <= UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

void red_read_brake(struct red_state *s, const redisReply *config)
{
	s->near = u32(red_value(config, "min-replicas-to-write"));
	s->near_s = u32(red_value(config, "min-replicas-max-lag"));
}

/* How far it is in the stream that its data names.  Promoted since, its own stream begins where it left that one.  A server that
 * was restarted with an append-only file has its data and has lost its place: what its data says is how far it is at least. */
static uint64_t place_in(const struct red_state *s, const struct red_lineage *l)
{
	if (strcmp(l->origin, s->id) == 0)
		return s->offset;
	bool left = s->offset_before > 0 && strcmp(l->origin, s->id_before) == 0;
	return left && s->offset_before - 1 > l->at ? s->offset_before - 1 : l->at;
}

/* Offsets compare only within one stream. */
void red_place(struct red_state *s)
{
	const struct red_lineage *l = &s->lineage;

	s->timeline = l->there ? (uint32_t)l->epoch : 1;
	if (l->there && l->closed)
		s->position = l->closed_at;
	else if (l->there)
		s->position = place_in(s, l);
	else
		s->position = !s->replica || (s->linked && !s->syncing) ? s->offset : 0;
}

enum dr_product red_product(const struct red_state *s)
{
	if (s->cluster)
		return s->valkey ? DR_PRODUCT_VALKEY_CLUSTER : DR_PRODUCT_REDIS_CLUSTER;
	return s->valkey ? DR_PRODUCT_VALKEY : DR_PRODUCT_REDIS;
}

void red_tell(const struct red_state *s, struct dr_evidence *ev)
{
	ev->reached = true;
	ev->text[0] = '\0'; /* what was waited for before this reading */
	ev->in_recovery = s->replica || s->fenced;
	ev->system_id = s->lineage.there ? s->lineage.identity : 0;
	ev->timeline = ev->checkpoint_timeline = s->timeline;
	ev->received = ev->replayed = s->position;
	ev->sync_k = s->near_s != 0 ? s->near : 0; /* with a lag of 0 it is not looked at */
	dr_version_tell(red_product(s), s->version, ev);
	ev->started_ms = dr_clock_wall_ms() - s->uptime_s * 1000;
	ev->receiving = s->replica && s->linked && !s->syncing;
	if (ev->receiving)
		ev->upstream_at = s->source;
	ev->cluster = (struct dr_cluster_seen){ .slots = s->nodes.slots, .covered = s->nodes.covered, .masters = s->nodes.masters,
						.masters_there = s->nodes.masters_there };
}
