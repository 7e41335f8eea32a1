/* nodes.c -- see nodes.h.  A line is
 *   id ip:port@busport[,hostname] flags master ping pong epoch link slot slot-slot [slot->-node] ...  */
#include "adapters/redis/nodes.h"

#include <string.h>

#include "base/parse.h"

enum { FIELDS = 8, FIELD_MAX = 320 };
enum field { FIELD_ID, FIELD_ADDRESS, FIELD_FLAGS, FIELD_MASTER, FIELD_PING, FIELD_PONG, FIELD_EPOCH, FIELD_LINK };

struct line {
	char field[FIELDS][FIELD_MAX];
	const char *slots, *end;
};

/* The next word up to a blank or the line's end; false when there is none, or it is too long. */
static bool word(const char **at, const char *end, char *dst, size_t cap)
{
	const char *p = *at;
	size_t n = 0;

	while (p < end && *p == ' ')
		p++;
	while (p + n < end && p[n] != ' ')
		n++;
	*at = p + n;
	if (n == 0 || n >= cap)
		return false;
	memcpy(dst, p, n);
	dst[n] = '\0';
	return true;
}

static bool split(struct line *l, const char *text, size_t len)
{
	const char *at = text;

	l->end = text + len;
	if (len > 0 && text[len - 1] == '\r')
		l->end--;
	for (int i = 0; i < FIELDS; i++) {
		if (!word(&at, l->end, l->field[i], FIELD_MAX))
			return false;
	}
	l->slots = at;
	return true;
}

/* "myself,master": whether one of them is the flag, whole. */
static bool has_flag(const char *flags, const char *flag)
{
	size_t n = strlen(flag);

	for (const char *p = flags; *p != '\0';) {
		size_t len = strcspn(p, ",");
		if (len == n && strncmp(p, flag, n) == 0)
			return true;
		p += len + (p[len] == ',' ? 1 : 0);
	}
	return false;
}

/* "10.1.0.20:6379@16379,name"; an address of version 6 stands without brackets. */
static bool read_address(const char *text, struct dr_address *a)
{
	const char *at = strchr(text, '@');
	const char *colon = NULL;
	char port[8];
	uint64_t number;

	memset(a, 0, sizeof(*a));
	for (const char *p = text; at != NULL && p < at; p++)
		colon = *p == ':' ? p : colon;
	if (colon == NULL || (size_t)(at - colon) > sizeof(port) || (size_t)(colon - text) >= sizeof(a->host))
		return false;
	memcpy(port, colon + 1, (size_t)(at - colon - 1));
	port[at - colon - 1] = '\0';
	if (colon == text || dr_parse_u64(port, 1, UINT16_MAX, &number) != DR_OK)
		return false;
	memcpy(a->host, text, (size_t)(colon - text));
	a->port = (uint16_t)number;
	return true;
}

/* "0-5460" or "7"; what moves between two nodes stands in brackets and counts for its owner already. */
static uint32_t count_slots(const struct line *l)
{
	const char *at = l->slots;
	char text[FIELD_MAX];
	uint32_t n = 0;

	while (word(&at, l->end, text, sizeof(text))) {
		uint64_t first, last;
		char *dash = strchr(text, '-');
		if (text[0] == '[')
			continue;
		if (dash != NULL)
			*dash = '\0';
		if (dr_parse_u64(text, 0, RED_SLOTS - 1, &first) != DR_OK ||
		    dr_parse_u64(dash != NULL ? dash + 1 : text, first, RED_SLOTS - 1, &last) != DR_OK)
			continue;
		n += (uint32_t)(last - first + 1);
	}
	return n < RED_SLOTS ? n : RED_SLOTS;
}

static void take_line(struct red_nodes *n, const struct line *l, const struct dr_address *find)
{
	const char *flags = l->field[FIELD_FLAGS];
	bool self = has_flag(flags, "myself"), failed = has_flag(flags, "fail");
	struct dr_address at;
	bool known = read_address(l->field[FIELD_ADDRESS], &at);

	if (self && known)
		n->self = at;
	if (!has_flag(flags, "master"))
		return;
	if (find != NULL && known && at.port == find->port && strcmp(at.host, find->host) == 0)
		(void)dr_copy_text(n->wanted, sizeof(n->wanted), l->field[FIELD_ID]);
	uint32_t slots = count_slots(l);
	if (slots == 0)
		return;
	bool reached = self || (!failed && !has_flag(flags, "fail?") && strcmp(l->field[FIELD_LINK], "connected") == 0);
	n->masters++;
	n->masters_there += reached ? 1u : 0u;
	n->masters_heard += reached && strcmp(l->field[FIELD_PING], "0") == 0 ? 1u : 0u;
	n->covered += failed ? 0u : slots;
	if (self)
		n->slots = slots;
}

void red_nodes_read(struct red_nodes *n, const char *text, const struct dr_address *find)
{
	struct line l;

	memset(n, 0, sizeof(*n));
	for (const char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n");
		if (split(&l, p, len)) {
			n->there = true;
			take_line(n, &l, find);
		}
		p += len + (p[len] == '\n' ? 1 : 0);
	}
	if (n->covered > RED_SLOTS)
		n->covered = RED_SLOTS;
}
