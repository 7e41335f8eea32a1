/* my_binlog.c -- see my_binlog.h. */
#include "agent/shell/my_binlog.h"

#include <inttypes.h>
#include <string.h>

enum { MAGIC = 4, HEAD = 19, BODY = 32 };
enum { EV_GTID_MYSQL = 33, EV_ANONYMOUS = 34, EV_GTID_TAGGED = 42, EV_GTID_MARIADB = 162, EV_ENCRYPTION = 164 };

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64(const uint8_t *p)
{
	return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

struct reading {
	FILE *f;
	uint64_t at;    /* where the next event begins */
	uint8_t head[HEAD], body[BODY];
	uint32_t size;  /* of the event, its header included */
	uint32_t known; /* bytes in body */
};

/* The next event's header and the beginning of its body; MY_BINLOG_WHOLE: it is there. */
static bool next_event(struct reading *r, enum my_binlog_end *how)
{
	size_t got = fread(r->head, 1, HEAD, r->f);
	*how = got == 0 && feof(r->f) ? MY_BINLOG_WHOLE : MY_BINLOG_TORN;
	if (got < HEAD)
		return false;
	r->size = u32(r->head + 9);
	if (r->size < HEAD)
		return false;
	uint32_t rest = r->size - HEAD;
	r->known = rest < BODY ? rest : BODY;
	if (fread(r->body, 1, r->known, r->f) < r->known)
		return false;
	/* A seek goes beyond the end without a word. */
	if (rest > r->known && (fseeko(r->f, (off_t)(rest - r->known - 1), SEEK_CUR) != 0 || fgetc(r->f) == EOF))
		return false;
	*how = MY_BINLOG_WHOLE;
	return true;
}

static void uuid_text(const uint8_t *p, char dst[MY_UUID_MAX])
{
	static const char hex[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*dst++ = '-';
		*dst++ = hex[p[i] >> 4];
		*dst++ = hex[p[i] & 15];
	}
	*dst = '\0';
}

static bool read_id(const struct reading *r, struct my_transaction *t)
{
	*t = (struct my_transaction){ .begin = r->at };
	switch (r->head[4]) {
	case EV_GTID_MARIADB:
		if (r->known < 12)
			return false;
		t->mariadb = true;
		t->id = (struct my_gtid){ .sequence = u64(r->body), .domain = u32(r->body + 8), .server = u32(r->head + 5) };
		return true;
	case EV_GTID_MYSQL:
		if (r->known < 25)
			return false;
		uuid_text(r->body + 1, t->uuid);
		t->number = u64(r->body + 17);
		return true;
	case EV_GTID_TAGGED:
	case EV_ANONYMOUS:
		return true;
	default:
		return false;
	}
}

enum my_binlog_end my_binlog_read(FILE *f, void (*each)(void *ctx, const struct my_transaction *t), void *ctx)
{
	static const uint8_t magic[MAGIC] = { 0xfe, 'b', 'i', 'n' };
	struct reading r = { .f = f, .at = MAGIC };
	struct my_transaction now, found;
	enum my_binlog_end how;
	uint8_t first[MAGIC];
	bool open = false;

	if (fread(first, 1, MAGIC, f) < MAGIC || memcmp(first, magic, MAGIC) != 0)
		return MY_BINLOG_OPAQUE;
	while (next_event(&r, &how)) {
		if (r.head[4] == EV_ENCRYPTION)
			return MY_BINLOG_OPAQUE;
		if (read_id(&r, &found)) {
			now.end = r.at;
			if (open)
				each(ctx, &now);
			now = found;
			open = true;
		}
		r.at += r.size;
	}
	if (open) {
		now.end = r.at;
		each(ctx, &now);
	}
	return how;
}

const char *my_transaction_text(const struct my_transaction *t, char dst[MY_ID_TEXT])
{
	if (t->mariadb)
		(void)snprintf(dst, MY_ID_TEXT, "%u-%u-%" PRIu64, t->id.domain, t->id.server, t->id.sequence);
	else if (t->uuid[0] != '\0')
		(void)snprintf(dst, MY_ID_TEXT, "%s:%" PRIu64, t->uuid, t->number);
	else
		(void)snprintf(dst, MY_ID_TEXT, "(tagged)");
	return dst;
}

bool my_history_has(const char *history, const struct my_transaction *t)
{
	struct my_gtid newest;
	if (t->mariadb)
		return my_gtid_newest(history, t->id.domain, false, t->id.server, &newest) &&
		       newest.sequence >= t->id.sequence;
	return t->uuid[0] != '\0' && my_set_has(history, t->uuid, t->number);
}
